"""The live stream and the server, over real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
from futian import WEST

from dispatcher.api import stream as stream_module
from dispatcher.api.app import create_app
from dispatcher.api.serve import PortInUse, serve
from dispatcher.case import State
from dispatcher.store.store import Store
from vision.pictures import FolderEvidence

WAIT_S = 20.0


@pytest.fixture
def server(store, areas, tmp_path):
    with serve(create_app(store, areas, evidence=FolderEvidence(tmp_path)), port=0) as serving:
        yield serving


@contextlib.contextmanager
def listening(url: str, *, after: int | None = None, last: str | None = None) -> Iterator[Iterator[dict[str, str]]]:
    """The events of one connection, each as its fields."""
    query = {} if after is None else {"after": after}
    headers = {} if last is None else {"last-event-id": last}
    with (
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
        client.stream("GET", f"{url}/api/events", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def told(events: Iterator[dict[str, str]], n: int) -> list[tuple[str, str]]:
    """The next n case events: id and case."""
    return [(event["id"], json.loads(event["data"])["case"]["id"]) for event in take_cases(events, n)]


def take_cases(events: Iterator[dict[str, str]], n: int) -> Iterator[dict[str, str]]:
    while n:
        event = next(events)
        if event["event"] == "case":
            n -= 1
            yield event


def fill(store, make_case, make_event, *names):
    store.append((), [make_event(case=make_case(name)) for name in names])


def test_the_stream_begins_with_the_name_of_the_log(server, store):
    with listening(server.url, after=0) as events:
        hello = next(events)
    assert hello["event"] == "hello"
    assert "id" not in hello  # an id here would make a browser forget the last event
    assert json.loads(hello["data"]) == {"log": store.cases().log, "after": 0}


def test_a_case_event_carries_the_case_and_its_names(server, store, make_case, make_event):
    with listening(server.url, after=0) as events:
        next(events)
        store.append((), [make_event(case=make_case(state=State.OPEN))])
        (event,) = take_cases(events, 1)
    data = json.loads(event["data"])
    assert event["id"] == "1"
    assert (data["event"]["event"], data["event"]["event_zh"], data["event"]["seq"]) == ("opened", "立案", 1)
    assert data["event"]["recipients"] == [{"area": WEST, "path": "福田区 / 莲花街道 / 彩田社区"}]
    assert (data["case"]["matter_zh"], data["case"]["area_path"]) == ("暴露垃圾", "福田区 / 莲花街道 / 彩田社区")
    listed = httpx.get(f"{server.url}/api/cases", trust_env=False).json()["cases"]
    assert data["case"] == listed[0] | {"due_at": None, "overdue": None}  # time makes these, no event


def test_a_stream_that_is_resumed_neither_loses_nor_repeats(server, store, make_case, make_event):
    fill(store, make_case, make_event, "a", "b")
    with listening(server.url, after=0) as events:
        assert told(events, 2) == [("1", "a"), ("2", "b")]
    fill(store, make_case, make_event, "c", "d")  # nobody listens
    with listening(server.url, last="2") as events:
        assert told(events, 2) == [("3", "c"), ("4", "d")]
        fill(store, make_case, make_event, "e")
        assert told(events, 1) == [("5", "e")]
    with listening(server.url, after=4) as events:
        assert told(events, 1) == [("5", "e")]


def test_the_last_event_id_goes_before_the_address(server, store, make_case, make_event):
    fill(store, make_case, make_event, "a", "b", "c")
    with listening(server.url, after=0, last="2") as events:
        assert told(events, 1) == [("3", "c")]


def test_a_long_backlog_comes_whole_and_in_order(server, store, make_case, make_event):
    names = [f"case-{n}" for n in range(stream_module.PAGE * 2 + 1)]
    fill(store, make_case, make_event, *names)
    with listening(server.url, after=0) as events:
        assert told(events, len(names)) == [(str(n + 1), name) for n, name in enumerate(names)]


def test_events_written_by_another_connection_arrive(server, tmp_path, make_case, make_event):
    with listening(server.url, after=0) as events:
        next(events)
        with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as other:
            fill(other, make_case, make_event, "elsewhere")
        assert told(events, 1) == [("1", "elsewhere")]


def test_a_silent_stream_says_that_it_lives(server, monkeypatch):
    monkeypatch.setattr(stream_module, "HEARTBEAT_S", 0.1)
    with listening(server.url, after=0) as events:
        assert [next(events)["event"] for _ in range(3)] == ["hello", "heartbeat", "heartbeat"]


def test_a_server_with_open_streams_goes_down_and_ends_them(store, areas, tmp_path):
    serving = serve(create_app(store, areas, evidence=FolderEvidence(tmp_path)), port=0)
    serving.start()
    with listening(serving.url, after=0) as first, listening(serving.url, after=0) as second:
        next(first)
        next(second)
        stopper = threading.Thread(target=serving.stop)
        stopper.start()
        stopper.join(WAIT_S)
        assert not stopper.is_alive()
        assert list(first) == []  # ended by the server, not cut off: httpx would raise
        assert list(second) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{serving.url}/healthz", trust_env=False)


def test_a_port_in_use_is_told_before_anything_starts(store, areas, tmp_path):
    app = create_app(store, areas, evidence=FolderEvidence(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            serve(app, port=port)
    assert str(caught.value) == f"port {port} is in use: choose another with --port"
    with serve(app, port=port) as serving:  # free again
        assert httpx.get(f"{serving.url}/healthz", trust_env=False).status_code == 200


MAIN = """
import sys
from pathlib import Path
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.area import Areas
from dispatcher.store.store import Store
from vision.pictures import FolderEvidence
with Store.open("sqlite://") as store:
    serving = serve(create_app(store, Areas.none(), evidence=FolderEvidence(Path("."))), port=0)
    print(serving.url, flush=True)
    if sys.argv[1] == "run":
        serving.run()
    else:
        with serving:
            serving.wait()
print("closed in order", flush=True)
"""


@pytest.mark.parametrize("way", ["run", "wait"])
def test_an_interrupt_ends_the_server_in_order_also_with_a_stream_open(way):
    with subprocess.Popen([sys.executable, "-c", MAIN, way], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with listening(url, after=0) as events:
            assert next(events)["event"] == "hello"
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(WAIT_S) == 0
        assert process.stdout.read() == "closed in order\n"
