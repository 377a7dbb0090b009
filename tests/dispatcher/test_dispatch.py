"""What makes no sense is refused before it changes anything; what is accepted survives a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h3
import pytest

from dispatcher.area import Areas
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.replay import replay_lines
from dispatcher.store.store import Store
from models.taxonomy import Taxonomy

CELL = h3.latlng_to_cell(22.54, 114.05, 13)


def envelope(type: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"specversion": "1.0", "id": data["id"], "source": "/test", "time": "2026-11-20T08:16:00.000Z"}
    return head | {"type": type, "data": data} | more


def sighting(**more: Any) -> dict[str, Any]:
    data = {
        "id": "s1", "pass": "p1", "vehicle": "bus-1", "camera": "right", "kind": "overflow_bin", "matter": "06042",
        "confidence": 0.9, "seen_at": "2026-11-20T08:15:00.000Z", "lat": 22.54, "lon": 114.05,
        "covariance_m2": [4.0, 0.0, 4.0], "shared_covariance_m2": [2.0, 0.0, 2.0], "frames": 3, "model": "m",
        "evidence": None,
    }  # fmt: skip
    return envelope("cn.jiexun.sighting.v1", data | more)


def passed(**more: Any) -> dict[str, Any]:
    data = {
        "id": "p9", "vehicle": "bus-2", "camera": "right", "started_at": "2026-11-20T09:00:00.000Z",
        "ended_at": "2026-11-20T09:05:00.000Z", "model": "m", "h3_resolution": 13, "looked": {CELL: 0.8},
        "recall": {"overflow_bin": 0.9},
    }  # fmt: skip
    return envelope("cn.jiexun.pass.v1", data | more)


def replayed(tmp_path: Path, lines: list[Any], store: Store) -> tuple[Engine, list[dict[str, Any]]]:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines))
    engine = Engine(Areas.none(), Taxonomy.read())
    dispatcher = Dispatcher(engine, store)
    dispatcher.recover(store.inputs())
    return engine, [entry.document() for entry in replay_lines(path, dispatcher)]


ENDLESS = json.dumps(sighting(id="x", evidence={"box_xyxy": [7, 1, 2, 3]})).replace("[7,", "[1e999,").encode()
WRONG = {
    "a box of words": sighting(id="x", evidence={"uri": "a.jpg", "box_xyxy": ["a", 1, 2, 3]}),
    "an endless box": ENDLESS,
    "a numeric name": sighting(id="x", evidence={"uri": 7}),
    "half a character": sighting(id="x", kind="\ud800"),
    "half a character in bytes": b'{"specversion": "1.0", "id": "\xed\xa0\x80"}',
    "no cell": passed(id="x", looked={"nonsense": 0.5}),
    "a cell of another size": passed(id="x", h3_resolution=14),
    "a huge cell": passed(id="x", h3_resolution=4, looked={h3.latlng_to_cell(22.5, 114.0, 4): 1.0}),
    "a pass that ends before it began": passed(id="x", started_at="2026-11-21T09:00:00.000Z"),
    "deep nesting": b"[" * 100_000,
    "a number": b"17",
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_line_that_makes_no_sense_is_refused_and_changes_nothing(tmp_path: Path, wrong: Any) -> None:
    with Store.open("sqlite://") as store:
        engine, rejected = replayed(tmp_path, [sighting(), wrong], store)
        assert [entry["line"] for entry in rejected] == [2]
        assert len(engine.cases()) == 1
        assert engine.objects() == []
        assert len(list(store.inputs())) == 1


def test_two_things_under_one_envelope_id_both_survive_a_restart(tmp_path: Path) -> None:
    first = sighting() | {"id": "same"}
    second = sighting(id="s2", lat=22.55) | {"id": "same"}
    with Store.open("sqlite://") as store:
        before, _ = replayed(tmp_path, [first, second], store)
        after, rejected = replayed(tmp_path, [first, second], store)
        assert len(before.cases()) == 2
        assert after.cases() == before.cases()
        assert rejected == []


def test_a_repeat_moves_the_clock_and_nothing_else(tmp_path: Path) -> None:
    later = sighting() | {"time": "2026-11-20T12:00:00.000Z"}
    other = sighting(id="s2", **{"pass": "p2"}, lat=22.55)
    with Store.open("sqlite://") as store:
        engine, _ = replayed(tmp_path, [sighting(), later, other], store)
        assert engine.repeats == 1
        assert len(engine.cases()) == 2
        assert [event.at[11:13] for event in store.events_after(0)] == ["08", "12"]
