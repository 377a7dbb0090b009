"""The commands `worker` and `dispatch`, as far as they need no broker."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import Clock, Heard

from dispatcher.store.store import Store
from ingest.memory import MemoryBroker, MemoryBus
from ingest.reader import Reader
from jiexun.worker import Patience

Run = Callable[..., tuple[int, Any, str]]


@pytest.mark.parametrize("command", ["worker", "dispatch"])
def test_a_command_without_a_broker_says_how_to_name_one(command: str, run: Run, monkeypatch) -> None:
    monkeypatch.delenv("JIEXUN_KAFKA", raising=False)
    status, _, errors = run(command)
    assert status == 1
    assert "JIEXUN_KAFKA" in errors


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("mysql://localhost/jiexun", "only sqlite:// and postgresql://"),
        ("sqlite:////no/such/folder/city.db", "cannot be opened"),
        ("city.db", "cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_opened_is_a_sentence(store: str, said: str, run: Run) -> None:
    status, _, errors = run("dispatch", "--kafka", "127.0.0.1:1", "--store", store)
    assert status == 1
    assert said in " ".join(errors.split())


def test_areas_that_cannot_be_read_are_a_sentence_and_are_not_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "areas.geojson").write_text("{}")
    store = f"sqlite:///{tmp_path / 'city.db'}"
    status, _, errors = run(
        "dispatch", "--kafka", "127.0.0.1:1", "--store", store, "--areas", tmp_path / "areas.geojson"
    )
    assert status == 1
    assert "FeatureCollection" in errors
    with Store.open(store) as opened:
        assert opened.areas() is None


def test_a_picture_that_cannot_be_stored_is_tried_again_ever_more_rarely_and_each_time_said(capsys) -> None:
    clock, watch = Clock(), Heard()
    bus = MemoryBus(MemoryBroker(), read=["frames"], group="g")
    patience = Patience(Reader(bus, watch, clock=clock, sleep=clock.sleep), watch)
    waits = []
    for _ in range(7):
        began = clock.now_s
        patience(OSError(errno.ENOSPC, "No space left on device"))
        waits.append(round(clock.now_s - began))
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert set(watch.blocks) == {"evidence cannot be stored: No space left on device"}
    patience.over()
    assert watch.blocks[-1] is None
    patience(OSError(errno.ENOSPC, "No space left on device"))
    assert clock.now_s - began == pytest.approx(31.0, abs=1.0)  # the next time it begins with a second
