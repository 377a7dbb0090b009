"""What a vehicle left is erased: nothing names it any more, and every case is as it was, told once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h3
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from whole import dumped, keep_whole, load, whole_in

from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.area import Areas
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.engines import Which, claimed
from dispatcher.erasure import Selection, inside
from dispatcher.open311.report import Contact, Report
from dispatcher.snapshot import mark
from dispatcher.store import tables
from dispatcher.store import work as log
from dispatcher.store.rebuild import PROJECTIONS
from dispatcher.store.store import Store
from dispatcher.store.work_tables import actions
from dispatcher.work.entry import verified
from ingest.envelope import Envelope, parse_envelope
from ingest.frame import rfc3339
from jiexun.erase import Erased, done, found
from models.taxonomy import Taxonomy
from vision.pictures import EvidenceArchive, FolderEvidence, Kept

NOON = datetime.fromisoformat("2026-11-20T04:00:00+00:00")
HOUR = timedelta(hours=1)
LAT, LON = 22.5401, 114.0453  # in WEST
EAST_LON = 114.0553
WEST, EAST = "440304008901", "440304004902"
TAXONOMY = Taxonomy.read()
LATER = NOON + 30 * HOUR


def jpeg(name: str) -> bytes:
    return b"\xff\xd8\xff\xe0" + name.encode() + b"\xff\xd9"


def picture(name: str) -> str:
    return f"{hashlib.sha256(jpeg(name)).hexdigest()}.jpg"


def sighting(id: str, vehicle: str, at: datetime, lon: float = LON, **more: Any) -> Envelope:
    data = {
        "id": id, "pass": f"p-{id}", "vehicle": vehicle, "camera": "right", "kind": "garbage", "matter": "06010",
        "confidence": 0.9, "seen_at": rfc3339(at), "lat": LAT, "lon": lon, "covariance_m2": [4.0, 0.0, 4.0],
        "shared_covariance_m2": [2.0, 0.0, 2.0], "frames": 3, "model": "m",
        "evidence": {"uri": picture(id), "sha256": picture(id)[:64], "box_xyxy": [1, 2, 3, 4]},
    } | more  # fmt: skip
    return Envelope(
        id=id, type="cn.jiexun.sighting.v1", source=f"/vision/{vehicle}", time=at + timedelta(seconds=5), data=data
    )


def ride(id: str, vehicle: str, at: datetime, lon: float = LON, rings: int = 12, resolution: int = 13) -> Envelope:
    """A pass that had a wide place in view."""
    cells = h3.grid_disk(h3.latlng_to_cell(LAT, lon, resolution), rings)
    data = {
        "id": id, "vehicle": vehicle, "camera": "right", "started_at": rfc3339(at - HOUR / 10),
        "ended_at": rfc3339(at), "model": "m", "h3_resolution": resolution,
        "looked": {cell: round(0.5 + 0.4 / (1 + n), 3) for n, cell in enumerate(sorted(cells))},
        "recall": {"garbage": 0.95},
    }  # fmt: skip
    return Envelope(id=id, type="cn.jiexun.pass.v1", source=f"/vision/{vehicle}", time=at + HOUR / 60, data=data)


def told(store: Store, areas: Areas, arrive: list[Envelope]) -> list[tuple[str, tuple[str, ...]]]:
    """What a dispatcher that has just started tells of what arrives."""
    dispatcher = Dispatcher(Engine(areas, TAXONOMY), store)
    dispatcher.recover(store.inputs())
    return [(event.id, event.recipients) for one in arrive for event in dispatcher.read(one)]


def street(store: Store, areas: Areas, archive: EvidenceArchive) -> None:
    """Two vehicles see a heap in WEST, a third one in EAST; later two see that the first is gone."""
    seen = [
        sighting("s1", "bus-0417", NOON),
        sighting("s2", "bus-0002", NOON + HOUR),
        sighting("s3", "bus-0417", NOON + 2 * HOUR, EAST_LON, confidence=0.97),
        sighting("bin", "bus-0417", NOON, matter=None, kind="garbage_bin", evidence=None),
    ]
    looks = [ride("r1", "bus-0417", NOON - HOUR), ride("r2", "bus-0417", NOON + 5 * HOUR, resolution=12, rings=5)]
    looks += [ride("r3", "bus-0002", NOON + 6 * HOUR), ride("r4", "bus-0417", NOON + 7 * HOUR, 114.0503)]
    for one in seen:
        archive.put(jpeg(one.id))
    told(store, areas, [looks[0], *seen, *looks[1:]])


def erased(store: Store, areas: Areas, archive: EvidenceArchive, **chosen: Any) -> Erased:
    plan = found(store, areas, Selection(**chosen))
    asked = {name: str(value) for name, value in chosen.items()}
    return done(store, archive, plan, asked, "个人信息删除申请", LATER)


def known(store: Store, areas: Areas, **kind: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases and objects that an engine comes to by the stored inputs, but for their pictures."""
    dispatcher = Dispatcher(Engine(areas, TAXONOMY, **kind), store)
    dispatcher.recover(store.inputs())
    cases = [case.document() | {"evidence": None} for case in dispatcher.engine.cases()]
    return cases, [thing.document() for thing in dispatcher.engine.objects()]


def text_of(store: Store) -> str:
    """All that is stored, but for the log of actions, which names what was asked for."""
    with store.reading() as connection:
        rows = [
            connection.execute(select(table)).all() for table in tables.metadata.tables.values() if table is not actions
        ]
    return repr(rows)


def stored(store: Store, id: str) -> dict[str, Any]:
    found = next(e for line in store.inputs() if (e := parse_envelope(line)).id == id)
    return dict(found.data)


@pytest.fixture
def folder(tmp_path: Path) -> FolderEvidence:
    return FolderEvidence(tmp_path / "evidence")


def test_nothing_names_the_vehicle_any_more_and_its_pictures_are_gone(store, areas, archive) -> None:
    street(store, areas, archive)
    assert "bus-0417" in text_of(store)
    about = erased(store, areas, archive, vehicle="bus-0417")
    assert (about.sightings, about.passes, about.pictures, about.cases) == (3, 3, 2, 2)
    assert "bus-0417" not in text_of(store)
    assert "bus-0002" in text_of(store)
    assert {kept.name for kept in archive.kept()} == {picture("s2"), picture("bin")}


def test_who_reported_and_in_what_words_goes_and_what_lies_where_stays(store, areas, archive) -> None:
    street(store, areas, archive)
    for n, lon in enumerate((LON, EAST_LON)):
        report = Report(
            id=f"report-{n}", token=f"t{n}", matter="06010", at=NOON, seen_at=NOON, lat=LAT, lon=lon, accuracy_m=15.0,
            sender="key-12345", description="王小姐家门口有垃圾", media_url="https://example.org/me.jpg",
        )  # fmt: skip
        store.reports.add(report, Contact(first_name="王", phone="13800138000"))
    assert erased(store, areas, archive, vehicle="bus-0417").reports == 0
    assert erased(store, areas, archive, within=inside(areas, WEST), before=NOON).reports == 0
    assert erased(store, areas, archive, within=inside(areas, WEST)).reports == 1
    assert text_of(store).count("13800138000") == text_of(store).count("王小姐") == 1
    left = store.reports.find("report-0", "key-12345").report
    assert (left.matter, left.lon, left.description, left.media_url) == ("06010", LON, None, None)
    assert erased(store, areas, archive, before=NOON + HOUR).reports == 1
    assert "13800138000" not in text_of(store)
    assert "example.org" not in text_of(store)
    assert erased(store, areas, archive, before=NOON + HOUR).reports == 0


def test_of_a_way_only_the_spots_stay_at_which_cases_were_looked_at(store, areas, folder) -> None:
    street(store, areas, folder)
    erased(store, areas, folder, vehicle="bus-0417")
    before_any_case, beside = stored(store, "r1"), stored(store, "r2")
    assert (before_any_case["looked"], before_any_case["recall"]) == ({}, {})
    assert before_any_case["ended_at"] == "2026-11-20T00:00:00.000Z"
    heap = h3.latlng_to_cell(LAT, LON, 12)
    assert heap in beside["looked"]
    assert all(h3.grid_distance(heap, cell) <= 1 for cell in beside["looked"])
    assert stored(store, "r4")["looked"] == {}
    assert {stored(store, id)["vehicle"] for id in ("r1", "r2", "r4", "s1", "bin")} == {"erased"}
    assert len(stored(store, "r3")["looked"]) == 469  # another vehicle's is as it was


def test_a_dispatcher_comes_to_the_same_cases_and_tells_nothing_again(store, areas, folder, tmp_path) -> None:
    street(store, areas, folder)
    before = [known(store, areas), known(store, areas, remembered=3)]
    log_before = store.events_after(0)
    erased(store, areas, folder, vehicle="bus-0417")
    assert [known(store, areas), known(store, areas, remembered=3)] == before
    assert store.events_after(0) == log_before
    repeats = [sighting("s1", "bus-0417", NOON), ride("r1", "bus-0417", NOON - HOUR)]  # Kafka still has them
    assert told(store, areas, repeats) == []
    assert "bus-0417" not in text_of(store)


def test_what_comes_afterwards_is_told_as_if_nothing_had_been_erased(areas, tmp_path) -> None:
    arrive = [ride(f"n{n}", "bus-0009", NOON + (8 + n) * HOUR) for n in range(4)]
    arrive += [sighting("n9", "bus-0009", NOON + 15 * HOUR), sighting("n8", "bus-0009", NOON + 3 * HOUR, EAST_LON)]
    heard = []
    for erase in (False, True):
        with Store.open("sqlite://") as store:
            archive = FolderEvidence(tmp_path / str(erase))
            street(store, areas, archive)
            if erase:
                erased(store, areas, archive, before=NOON + 10 * HOUR)
            heard.append(told(store, areas, arrive))
    assert heard[0] == heard[1]
    assert len(heard[0]) >= 2


def test_a_rebuild_after_erasing_changes_no_row(store, areas, folder) -> None:
    street(store, areas, folder)
    erased(store, areas, folder, vehicle="bus-0417")
    rebuilt = store.rebuild()
    assert {table: rebuilt.tables[table].changed for table in rebuilt.tables} == {t.name: 0 for t in PROJECTIONS}
    assert rebuilt.tables["looks"].rows > 1


def test_the_log_of_actions_says_who_erased_what_and_verifies(store, areas, folder) -> None:
    street(store, areas, folder)
    for _ in range(2):
        about = erased(store, areas, folder, vehicle="bus-0417")
    with store.reading() as connection:
        verdict = verified(log.log_rows(connection))
        rows = [json.loads(row.document) for row in log.log_rows(connection)]
    assert (verdict.broken, verdict.entries, verdict.head) == (None, 2, about.entry)
    assert [row["details"]["sightings"] for row in rows] == [3, 0]  # twice finds nothing more
    assert (rows[0]["act"], rows[0]["reason"]) == ("erase", "个人信息删除申请")
    assert rows[0]["details"]["asked"] == {"vehicle": "bus-0417"}


def test_the_case_says_why_and_shows_the_picture_of_another_vehicle_when_it_is_seen_again(store, areas, folder) -> None:
    street(store, areas, folder)
    erased(store, areas, folder, vehicle="bus-0417")
    reasons = {case.document["evidence"]["missing"] for case in store.cases().cases}
    assert reasons == {"erased: 2026-11-21"}
    told(store, areas, [sighting("s4", "bus-0003", NOON + 31 * HOUR, EAST_LON)])
    shown = {case.document["evidence"]["uri"] for case in store.cases().cases}
    assert picture("s4") in shown
    with (
        serve(create_app(store, areas, evidence=folder), port=0) as serving,
        httpx.Client(base_url=serving.url, trust_env=False) as client,
    ):
        assert client.get(f"/evidence/{picture('s1')}").status_code == 404
        assert {found["evidence"]["missing"] for found in client.get("/api/cases").json()["cases"]} == {
            None,
            "erased: 2026-11-21",
        }


def test_an_area_and_a_time_narrow_what_is_erased(store, areas, folder) -> None:
    street(store, areas, folder)
    plan = found(store, areas, Selection(within=inside(areas, EAST)))
    assert (plan.sightings, set(plan.passes)) == ({"s3"}, {"r4"})  # r4 drove along the border
    plan = found(store, areas, Selection(within=inside(areas, "440304008"), before=NOON + 1 * HOUR))
    assert (plan.sightings, set(plan.passes)) == ({"s1", "bin"}, {"r1"})
    plan = found(store, areas, Selection(vehicle="bus-0002", before=NOON + 2 * HOUR))
    assert (plan.sightings, set(plan.passes)) == ({"s2"}, set())
    with pytest.raises(ValueError, match="have no 110101"):
        inside(areas, "110101")


def test_what_an_engine_remembered_is_erased_too_and_still_of_use(store, areas, folder) -> None:
    street(store, areas, folder)
    dispatcher = Dispatcher(Engine(areas, TAXONOMY), store)
    dispatcher.recover(store.inputs())
    keep_whole(store, mark(None), dumped(dispatcher.engine), dispatcher.seq)
    erased(store, areas, folder, vehicle="bus-0417")
    kept = whole_in(store, mark(None))
    assert kept is not None
    assert "bus-0417" not in json.dumps(kept[1])
    fresh = Engine(areas, TAXONOMY)
    load(fresh, kept[1])
    again = Dispatcher(Engine(areas, TAXONOMY), store)
    again.recover(store.inputs())
    assert dumped(fresh) == dumped(again.engine)


class Killed(FolderEvidence):
    """A folder at whose first removal the process ends."""

    def kept(self) -> Iterator[Kept]:
        return super().kept()

    def remove(self, name: str, *, unless_since: datetime | None = None) -> bool:
        raise KeyboardInterrupt


def test_an_erasure_that_was_killed_is_completed_by_the_same_again(store, areas, folder) -> None:
    street(store, areas, folder)
    with pytest.raises(KeyboardInterrupt):
        erased(store, areas, Killed(folder.folder), vehicle="bus-0417")
    assert store.cases().cases[0].document["evidence"]["missing"].startswith("erased: ")
    about = erased(store, areas, folder, vehicle="bus-0417")
    assert (about.sightings, about.pictures) == (3, 2)
    assert "bus-0417" not in text_of(store)
    assert {kept.name for kept in folder.kept()} == {picture("s2"), picture("bin")}


def test_pictures_that_are_kept_elsewhere_are_counted_and_left(store, areas, folder) -> None:
    elsewhere = {"uri": "https://city.example/1.jpg", "sha256": None}
    told(store, areas, [sighting("s1", "bus-0417", NOON, evidence=elsewhere)])
    about = erased(store, areas, folder, vehicle="bus-0417")
    assert (about.pictures, about.elsewhere) == (0, 1)
    assert "city.example" not in repr(stored(store, "s1"))


def test_a_sender_cannot_mark_its_own_as_erased(store, areas, folder) -> None:
    spoofed = sighting("s1", "bus-0417", NOON, erased="bus-0417 was here")
    told(store, areas, [spoofed, ride("r1", "bus-0417", NOON)])
    erased(store, areas, folder, vehicle="bus-0417")
    assert "bus-0417" not in text_of(store)


def test_the_file_of_the_database_holds_nothing_of_it_either(tmp_path, areas, folder) -> None:
    path = tmp_path / "city.db"
    with Store.open(f"sqlite:///{path}") as store:
        street(store, areas, folder)
        for n in range(50):  # rows that grew and shrank
            told(store, areas, [ride(f"w{n}", "bus-0417", NOON - n * HOUR)])
        about = erased(store, areas, folder, before=NOON + 100 * HOUR)
        assert about.complete
    everything = b"".join(file.read_bytes() for file in tmp_path.glob("city.db*"))
    assert b"bus-0417" not in everything
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


STEP = st.tuples(
    st.sampled_from(["see", "ride"]),
    st.sampled_from(["bus-0417", "bus-0002", "bus-0003"]),
    st.integers(0, 30),  # half hours
    st.sampled_from([LON, LON + 0.00008, LON + 0.0002, EAST_LON]),
    st.sampled_from([10, 12, 13, 14]),
)


def arrived(n: int, what: str, vehicle: str, half: int, lon: float, resolution: int) -> Envelope:
    at, rings = NOON + half * HOUR / 2, {10: 1, 12: 4, 13: 8, 14: 20}[resolution]
    if what == "see":
        return sighting(f"x{n}", vehicle, at, lon)
    return ride(f"x{n}", vehicle, at, lon, rings, resolution)


@given(st.lists(STEP, min_size=1, max_size=14), st.sampled_from(["vehicle", "before", "area"]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_drove_and_whatever_is_erased_the_cases_stay_the_same(areas, tmp_path_factory, steps, by) -> None:
    selections = {
        "vehicle": Selection(vehicle="bus-0417"),
        "before": Selection(before=NOON + 8 * HOUR),
        "area": Selection(within=inside(areas, WEST)),
    }
    archive = FolderEvidence(tmp_path_factory.mktemp("any"))
    with Store.open("sqlite://") as store:
        arrive = [
            sighting(f"x{n}", vehicle, NOON + half * HOUR / 2, lon)
            if what == "see"
            else ride(
                f"x{n}", vehicle, NOON + half * HOUR / 2, lon, {10: 1, 12: 4, 13: 8, 14: 20}[resolution], resolution
            )
            for n, (what, vehicle, half, lon, resolution) in enumerate(steps)
        ]
        told(store, areas, arrive)
        before = known(store, areas)
        plan = found(store, areas, selections[by])
        done(store, archive, plan, {}, None, LATER)
        assert known(store, areas) == before
        assert not found(store, areas, selections[by])
        assert all(table.changed == 0 for table in store.rebuild().tables.values())
        if by == "vehicle":
            assert "bus-0417" not in text_of(store)


# The command


@pytest.fixture
def city(tmp_path, areas, areas_file) -> tuple[str, FolderEvidence]:
    """A store with its evidence beside it, as a dispatcher left it."""
    url, archive = f"sqlite:///{tmp_path / 'city.db'}", FolderEvidence(tmp_path / "evidence")
    with Store.open(url) as store:
        store.keep_areas(areas_file.read_text(encoding="utf8"))
        street(store, areas, archive)
    return url, archive


def test_the_command_erases_and_the_log_verifies(run: Callable[..., Any], city) -> None:
    url, archive = city
    code, document, _ = run("erase", "--vehicle", "bus-0417", "--store", url, "--dry-run", "--json")
    assert (code, document["sightings"], document["entry"]) == (0, 3, None)
    assert len(list(archive.kept())) == 4
    code, document, _ = run("erase", "--vehicle", "bus-0417", "--store", url, "--yes", "--json")
    assert (code, document["sightings"], document["passes"], document["pictures"]) == (0, 3, 3, 2)
    code, verdict, _ = run("audit", "verify", "--store", url, "--head", document["entry"], "--json")
    assert (code, verdict["ok"], verdict["entries"]) == (0, True, 1)
    code, rebuilt, _ = run("rebuild", "--store", url, "--json")
    assert (code, rebuilt["changed"]) == (0, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name what is to be erased"),
        (("--vehicle", "bus-0417"), "--yes"),
        (("--vehicle", "bus-0417", "--json"), "--yes"),
        (("--area", "110101", "--yes"), "have no 110101"),
        (("--before", "gestern", "--yes"), "--before gestern"),
        (("--before", "2026-13-01", "--yes"), "--before 2026-13-01"),
    ],
)
def test_what_is_not_clear_or_not_agreed_to_is_not_done(run: Callable[..., Any], city, words, said) -> None:
    url, archive = city
    code, _, error = run("erase", *words, "--store", url)
    assert code == 1
    assert said in error
    assert len(list(archive.kept())) == 4


def test_a_dispatcher_that_runs_is_to_be_stopped_first(run: Callable[..., Any], city) -> None:
    url, _ = city
    with Store.open(url) as store:
        lease = store.lease()
        assert lease is not None
        code, _, error = run("erase", "--area", "440304", "--before", "2026-11-21", "--yes", "--store", url)
        assert code == 1
        assert "stop it first" in error
        lease.release()
    code, document, _ = run("erase", "--area", "440304", "--before", "2026-11-21", "--yes", "--store", url, "--json")
    assert (code, document["asked"]["before"]) == (0, "2026-11-20T16:00:00.000Z")  # midnight in China


def test_a_store_of_the_joint_engine_is_not_erased_in(store, areas) -> None:
    claimed(store, Which.JOINT)
    with pytest.raises(ValueError, match="without the names of vehicles"):
        found(store, areas, Selection(vehicle="bus-0417"))
