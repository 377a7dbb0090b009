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
    assert (result["events"], result["missing"], result["repeated"]) == (30, 0, 0)
    assert result["deliveries"] >= 6 * 30


@pytest.mark.usefixtures("postgresql")
def test_sightings_are_stored_beside_few_cases_and_beside_more(capsys: Printed) -> None:
    result = ingest.main(cases=400, beside=100, sightings=200, json=True)
    assert only_line(capsys) == result
    assert [row["stored"] for row in result["stores"]] == [100, 400]
    assert result["sightings_per_s"] > 0
    assert result["stores"][0]["events"] == result["stores"][1]["events"] > 0
