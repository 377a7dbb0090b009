"""Receive: how kafka-python reads from its sockets, with fewer calls and copies.

kafka-python 3.0 reads 4 KiB a call, and each call gives the interpreter's lock away and asks for it again: a frame of
450 KB takes 110 of them. Beside a detector that has work for every core that is a large part of what a frame costs.
"""

from __future__ import annotations

import socket
from typing import Any

import kafka.net.manager
from kafka import errors
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

AT_ONCE = 256 << 10  # bytes asked for in one call: as much as a socket holds


class Transport(KafkaTCPTransport):  # type: ignore[misc]  # kafka has no types
    """A plain connection that takes what there is in one piece."""

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        """What has come, and why the connection is over where it is."""
        return received(self._sock)


def received(sock: socket.socket) -> tuple[bytes, Exception | None]:
    """Everything that waits in a socket that does not block."""
    parts: list[bytes] = []
    error: Exception | None = None
    while True:
        try:
            part = sock.recv(AT_ONCE)
        except (BlockingIOError, InterruptedError):
            break
        except OSError as refusal:
            error = errors.KafkaConnectionError(refusal)
            break
        if not part:
            error = errors.KafkaConnectionError("socket disconnected")
            break
        parts.append(part)
        if len(part) < AT_ONCE:
            break  # asking again would only be told that there is no more
    return parts[0] if len(parts) == 1 else b"".join(parts), error


def read(self: Any, nbytes: int | None = None) -> bytes:
    """In place of KafkaBytes.read, which copies a response twice."""
    begin = self._idx
    self._idx = len(self) if nbytes is None else min(begin + nbytes, len(self))
    return bytes(memoryview(self)[begin : self._idx])


def install() -> None:
    """Let every connection that is opened from now on read so."""
    kafka.net.manager.KafkaTCPTransport = Transport
    KafkaBytes.read = read
