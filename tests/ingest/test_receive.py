"""Connections read in large pieces, and what they read is what was sent."""

import socket

import kafka.net.manager
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import errors
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

import ingest.bus  # noqa: F401  # installs what is tested here
from ingest.receive import AT_ONCE, Transport, received


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


def test_the_library_opens_connections_of_ours() -> None:
    assert kafka.net.manager.KafkaTCPTransport is Transport
    assert "_sock_recv" in vars(KafkaTCPTransport)  # what we replace: a later version may do without it


def test_what_waits_is_taken_in_one_piece(pair) -> None:
    here, there = pair
    sent = bytes(range(256)) * 64
    there.sendall(sent)
    assert received(here) == (sent, None)


def test_nothing_that_waits_is_no_error(pair) -> None:
    assert received(pair[0]) == (b"", None)


def test_more_than_one_piece_is_taken_as_it_comes(pair) -> None:
    here, there = pair
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * AT_ONCE)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * AT_ONCE)
    there.setblocking(False)
    sent = there.send(bytes(2 * AT_ONCE))
    found = b""
    while part := received(here)[0]:
        found += part
    assert found == bytes(sent)


def test_an_ended_connection_is_told_after_what_it_sent(pair) -> None:
    here, there = pair
    there.sendall(b"last words")
    there.close()
    assert received(here)[0] == b"last words"
    data, error = received(here)
    assert data == b""
    assert isinstance(error, errors.KafkaConnectionError)


def test_a_broken_socket_is_told(pair) -> None:
    here, _ = pair
    here.close()
    assert isinstance(received(here)[1], errors.KafkaConnectionError)


@given(st.binary(max_size=200), st.lists(st.none() | st.integers(0, 60), max_size=8))
def test_a_response_is_read_like_a_file(data: bytes, sizes: list[int | None]) -> None:
    response = KafkaBytes(len(data))
    response.write(data)
    response.seek(0)
    read, at = b"", 0
    for size in sizes:
        part = response.read(size)
        assert isinstance(part, bytes)
        read += part
        at = len(data) if size is None else min(at + size, len(data))
        assert response.tell() == at
    assert read == data[:at]
