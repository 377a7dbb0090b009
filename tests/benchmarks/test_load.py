"""The benchmarks of a full store run here, small: they start their servers, end them, and print one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import api, ingest, sse
from benchmarks.stocked import COMMUNITIES, STREETS, stock
from dispatcher.access.scope import Scope
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def postgresql() -> None:
    """PostgreSQL of the distribution. Without it these tests skip, loudly; in CI that is a failure."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin")) or not shutil.which("runuser"):
        why = "NO REAL POSTGRESQL, NOT TESTED: install postgresql-15"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def only_line(printed: Printed) -> dict[str, Any]:
    (line,) = printed.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_copied_cases_are_what_a_rebuild_makes_of_the_copied_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    stock(url, 600, 200)
    with Store.open(url) as store:
        assert store.last_event() == 600
        assert sum(table.changed for table in store.rebuild().tables.values()) == 0
        listing = store.cases(CaseFilter(scope=Scope(frozenset({STREETS[0]})), limit=1000))
        assert listing.total == len(listing.cases) > 0
        assert {case.area in COMMUNITIES[:10] for case in listing.cases} == {True}


@pytest.mark.usefixtures("postgresql")
def test_the_pages_of_a_full_store_are_timed(capsys: Printed) -> None:
    result = api.main(cases=300, rate=10.0, seconds=3.0, json=True)
    assert only_line(capsys) == result
    assert result["requests"] == 30
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert set(result["p99_ms_by_kind"]) == set(api.KINDS)


@pytest.mark.usefixtures("postgresql")
def test_every_open_console_gets_every_event_of_its_areas_once(capsys: Printed) -> None:
    result = sse.main(consoles=12, rate=10.0, seconds=3.0, wide=0.5, json=True)
    assert only_line(capsys) == result
    assert (result["events"], result["missing"], result["repeated"], result["altered"]) == (30, 0, 0, 0)
    assert result["deliveries"] >= 6 * 30


def test_a_console_that_hears_something_else_than_the_others_or_than_was_stored_is_counted() -> None:
    said: dict[int, bytes] = {}
    told = [sse.Told(seq, 0.0, "440304001001", f"case-{seq}") for seq in (1, 2, 3)]
    right = [_event(1, "case-1"), _event(2, "case-2"), _event(3, "case-3")]
    one, other = (sse.Console(None, "token", 0, said) for _ in range(2))
    for n, console in enumerate((one, other)):
        wires = right if n == 0 else [right[0], _event(2, "case-9"), right[1], right[1]]
        sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(map(_chunk, wires))
        for start in range(0, len(sent), 7):  # however it is cut
            console.data_received(sent[start : start + 7])
    assert [list(console.seqs) for console in (one, other)] == [[1, 2, 3], [1, 2, 2, 2]]
    assert (one.altered, other.altered, sse.wrong(said, told)) == (0, 1, 0)
    found = sse.figures([one, other], told)
    assert (found["missing"], found["repeated"]) == (1, 2)
    assert sse.wrong(said, [told[0]._replace(case="case-8"), *told[1:]]) == 1


def _event(seq: int, case: str) -> bytes:
    data = json.dumps({"event": {"seq": seq}, "case": {"id": case}})
    return f"id: {seq}\r\nevent: case\r\ndata: {data}\r\n\r\n".encode()


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


@pytest.mark.usefixtures("postgresql")
def test_sightings_are_stored_beside_few_cases_and_beside_more(capsys: Printed) -> None:
    result = ingest.main(cases=400, beside=100, sightings=200, known=50, json=True)
    assert only_line(capsys) == result
    assert [(row["stored"], row["known"]) for row in result["stores"]] == [(100, 50), (400, 50)]
    assert result["sightings_per_s"] > 0
    assert result["stores"][0]["events"] == result["stores"][1]["events"] > 0
