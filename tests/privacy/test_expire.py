"""Evidence expires by policy: what a case needs stays, what none needs goes, and the case says so."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from futian import WEST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.area import Areas
from dispatcher.case import Case, CaseEvent, State
from dispatcher.store import retention
from dispatcher.store.gone import Why
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from jiexun.retention import sweep
from vision.pictures import EvidenceArchive, FolderEvidence, Kept
from vision.sighting import Evidence

NOW = datetime.now(UTC)  # the servers' own clocks say when a picture was written
DAY = timedelta(days=1)
LATER = NOW + 100 * DAY  # when the pictures of today are a hundred days old
THAT_DAY = LATER.astimezone(timezone(timedelta(hours=8))).date()  # in China
Made = Callable[..., Any]


def jpeg(n: int) -> bytes:
    return b"\xff\xd8\xff\xe0 picture %d \xff\xd9" % n


def name(n: int) -> str:
    return f"{hashlib.sha256(jpeg(n)).hexdigest()}.jpg"


def pictured(n: int) -> Evidence:
    return Evidence(uri=name(n), sha256=name(n)[:64], box_xyxy=(1, 2, 3, 4))


@pytest.fixture
def tell(store: Store, make_case: Made) -> Callable[..., None]:
    """Something happens to a case with picture `n`, so many days before LATER."""

    def tell(case: str, state: str, n: int, days: float) -> None:
        made: Case = replace(make_case(case, evidence=pictured(n)), state=State(state))
        id = f"{case}:{state}:{n}:{days}"
        store.append((), [CaseEvent(id=id, event=state, at=LATER - days * DAY, case=made, recipients=(WEST,))])

    return tell


def names(archive: EvidenceArchive) -> set[str]:
    return {kept.name for kept in archive.kept()}


def evidence_of(store: Store, case: str) -> dict[str, Any]:
    found = store.case(case)
    assert found is not None
    return dict(found[0].document["evidence"])


KEPT = {  # what happened to the case, with so many days since, and whether a picture of 100 days is kept for 90
    "open for years": ([("open", 1000)], True),
    "handled, and to be verified": ([("open", 1000), ("handled", 999)], True),
    "closed lately": ([("open", 1000), ("closed", 89)], True),
    "closed long ago": ([("open", 1000), ("closed", 91)], False),
    "dismissed lately": ([("candidate", 200), ("dismissed", 3)], True),
    "dismissed long ago": ([("candidate", 200), ("dismissed", 199)], False),
    "never opened": ([("candidate", 200)], False),
    "suspected lately": ([("candidate", 20)], True),
    "of a state of a later version": ([("open", 200)], True),
}


@pytest.mark.parametrize("row", KEPT.values(), ids=KEPT)
def test_a_picture_is_kept_as_long_as_its_case_needs_it(store, tell, tmp_path, row) -> None:
    happened, kept = row
    archive = FolderEvidence(tmp_path / "evidence")
    archive.put(jpeg(1))
    for state, days in happened:
        tell("case-1", state, 1, days)
    swept = sweep(store, archive, now=LATER, days=90)
    assert names(archive) == ({name(1)} if kept else set())
    assert (swept.expired, swept.cases) == ((0, 0) if kept else (1, 1))


def test_what_is_swept_is_gone_from_either_store_and_the_rest_is_there(store, archive, tell) -> None:
    for n in range(4):
        archive.put(jpeg(n))
    tell("open", "open", 1, 300)
    tell("over", "closed", 2, 300)
    swept = sweep(store, archive, now=LATER, days=90)  # 0 and 3 belong to no case
    assert names(archive) == {name(1)}
    assert (swept.pictures, swept.expired, swept.cases) == (4, 3, 1)
    assert swept.bytes == 3 * len(jpeg(1))
    again = sweep(store, archive, now=LATER, days=90)
    assert (again.pictures, again.expired, again.cases) == (1, 0, 0)


def test_a_dry_run_counts_the_same_and_changes_nothing(store, archive, tell) -> None:
    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    would = sweep(store, archive, now=LATER, days=90, dry_run=True)
    assert names(archive) == {name(1)}
    assert evidence_of(store, "over")["uri"] == name(1)
    assert sweep(store, archive, now=LATER, days=90) == would


def test_a_young_picture_stays_though_nobody_needs_it_yet(store, archive) -> None:
    archive.put(jpeg(1))  # of a sighting that is still on its way to the dispatcher
    assert sweep(store, archive, now=NOW + 89 * DAY, days=90).expired == 0
    assert sweep(store, archive, now=NOW + 91 * DAY, days=90).expired == 1


def test_a_picture_that_several_cases_share_stays_while_one_needs_it(store, archive, tell) -> None:
    archive.put(jpeg(1))
    tell("a", "closed", 1, 300)
    tell("b", "open", 1, 300)
    assert sweep(store, archive, now=LATER, days=90).expired == 0
    assert [evidence_of(store, case)["uri"] for case in "ab"] == [name(1)] * 2
    tell("b", "closed", 1, 95)
    assert sweep(store, archive, now=LATER, days=90).cases == 2
    assert names(archive) == set()


def test_a_picture_that_a_better_one_replaced_stays_with_its_open_case(store, archive, tell) -> None:
    for n in (1, 2):
        archive.put(jpeg(n))
    tell("a", "candidate", 1, 300)
    tell("a", "open", 2, 299)
    sweep(store, archive, now=LATER, days=90)
    assert names(archive) == {name(1), name(2)}


def test_a_case_says_why_it_has_no_picture_and_a_rebuild_changes_nothing(store, archive, tell) -> None:
    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    sweep(store, archive, now=LATER, days=90)
    said = {"uri": None, "sha256": None, "box_xyxy": None, "missing": f"expired: {THAT_DAY}"}
    assert evidence_of(store, "over") == said
    rebuilt = store.rebuild()
    assert {table: found.changed for table, found in rebuilt.tables.items() if found.changed} == {}
    assert evidence_of(store, "over") == said


def test_a_later_event_of_the_case_does_not_bring_a_deleted_picture_back(store, archive, tell) -> None:
    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    sweep(store, archive, now=LATER, days=90)
    tell("over", "closed", 1, 1)  # as an engine tells it that knows the sighting
    assert evidence_of(store, "over")["missing"].startswith("expired: ")


def test_another_case_may_have_the_same_picture_again(store, archive, tell) -> None:
    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    sweep(store, archive, now=LATER, days=90)
    archive.put(jpeg(1))
    tell("new", "open", 1, 0)
    assert evidence_of(store, "new")["uri"] == name(1)
    assert evidence_of(store, "over")["uri"] is None
    assert sweep(store, archive, now=LATER + 100 * DAY, days=90).expired == 0


class Between(EvidenceArchive):
    """An archive in which something happens after a picture was listed, right before it is removed."""

    def __init__(self, archive: EvidenceArchive, happens: Callable[[], object]) -> None:
        self._archive, self._happens = archive, happens

    def put(self, jpeg: bytes) -> str:
        return self._archive.put(jpeg)

    def get(self, name: str) -> bytes | None:
        return self._archive.get(name)

    def kept(self) -> Iterator[Kept]:
        return self._archive.kept()

    def remove(self, name: str, *, unless_since: datetime | None = None) -> bool:
        self._happens()
        return self._archive.remove(name, unless_since=unless_since)


def test_a_picture_that_a_worker_puts_again_while_it_is_swept_stays(store, archive, monkeypatch) -> None:
    """Here pictures of now count as old, and one that is put again a second later does not."""

    def again() -> None:
        time.sleep(1.1)  # S3 tells times in seconds
        archive.put(jpeg(1))

    monkeypatch.setattr("vision.pictures.REFRESH", timedelta(0))
    monkeypatch.setattr("vision.s3.REFRESH", timedelta(0))
    archive.put(jpeg(1))
    time.sleep(1.1)
    swept = sweep(store, Between(archive, again), now=datetime.now(UTC) + 90 * DAY, days=90)
    assert swept.expired == 0
    assert archive.get(name(1)) == jpeg(1)


def test_a_sweep_that_was_killed_is_completed_by_the_next(store, archive, tell) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    with pytest.raises(KeyboardInterrupt):
        sweep(store, Between(archive, killed), now=LATER, days=90)
    assert names(archive) == {name(1)}
    assert evidence_of(store, "over")["uri"] is None  # it says so already
    assert sweep(store, archive, now=LATER + DAY, days=90).expired == 1


def test_a_folder_s_half_written_pictures_go_and_other_files_stay(store, tmp_path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    for file in ("tmpx1.part", "readme.txt", "photo.jpg"):
        (folder / file).write_bytes(b"x")
        os.utime(folder / file, (0, 0))
    sweep(store, FolderEvidence(folder), now=NOW, days=90)
    assert {file.name for file in folder.iterdir()} == {"readme.txt", "photo.jpg"}


def test_nothing_outside_the_folder_is_removed(tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    store = FolderEvidence(tmp_path / "evidence")
    store.put(jpeg(1))
    assert not any(store.remove(path) for path in ("../secret", "/etc/passwd", "", "nothing.jpg"))
    assert (tmp_path / "secret").exists()


def test_the_page_s_server_says_why_and_answers_no_server_error(store, archive, tell, areas: Areas) -> None:
    archive.put(jpeg(1))
    tell("over", "closed", 1, 300)
    with (
        serve(create_app(store, areas, evidence=archive), port=0) as serving,
        httpx.Client(base_url=serving.url, trust_env=False) as client,
    ):
        assert client.get(f"/evidence/{name(1)}").status_code == 200
        sweep(store, archive, now=LATER, days=90)
        assert client.get(f"/evidence/{name(1)}").status_code == 404
        for found in (client.get("/api/cases").json()["cases"][0], client.get("/api/cases/over").json()["case"]):
            assert found["evidence"]["url"] is None
            assert found["evidence"]["missing"] == f"expired: {THAT_DAY}"
        assert client.get("/ogc/collections/cases/items").status_code == 200


def test_who_sees_only_the_case_that_gave_a_picture_up_does_not_get_it_by_name(store, tell, make_case) -> None:
    from dispatcher.access.scope import Scope

    tell("over", "closed", 1, 300)
    assert store.picture_in(name(1), Scope(frozenset({WEST})))
    with store.writing() as connection:
        assert retention.give_up(connection, {name(1)}, Why.EXPIRED, "2026-11-27T00:00:00.000Z") == 1
        assert retention.give_up(connection, {name(1)}, Why.EXPIRED, "2026-11-28T00:00:00.000Z") == 0
    assert not store.picture_in(name(1), Scope(frozenset({WEST})))


STATES = st.sampled_from(["candidate", "open", "handled", "closed", "dismissed"])
HAPPENS = st.tuples(st.integers(0, 5), STATES, st.integers(0, 4), st.integers(0, 200))


@given(st.lists(HAPPENS, max_size=20), st.integers(1, 150))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happened_no_open_case_loses_a_picture_and_no_picture_outlives_its_need(
    tmp_path_factory, make_case, happened, days
) -> None:
    archive = FolderEvidence(tmp_path_factory.mktemp("any"))
    with Store.open("sqlite://") as store:
        for n in range(5):
            archive.put(jpeg(n))
        has: dict[str, set[int]] = {}
        last: dict[str, tuple[str, int]] = {}
        for i, (case, state, n, ago) in enumerate(happened):
            made = replace(make_case(f"c{case}", evidence=pictured(n)), state=State(state))
            event = CaseEvent(id=f"e{i}", event=state, at=LATER - ago * DAY, case=made, recipients=())
            store.append((), [event])
            has.setdefault(f"c{case}", set()).add(n)
            last[f"c{case}"] = (state, ago)
        kept = {case for case, (state, ago) in last.items() if state in ("open", "handled") or ago <= days}
        needed = {name(n) for case in kept for n in has[case]}
        sweep(store, archive, now=LATER, days=days)
        assert names(archive) == (needed if days < 100 else {name(n) for n in range(5)})
        assert all(found.changed == 0 for found in store.rebuild().tables.values())
        shown = {case.document["evidence"]["uri"] for case in store.cases().cases}
        assert shown - {None} <= names(archive)


# The command


def test_the_command_sweeps_beside_its_store_and_says_what_it_did(run, tmp_path, make_case, make_event) -> None:
    url = f"sqlite:///{tmp_path / 'city.db'}"
    with Store.open(url) as store:
        seen = Envelope(id="s", type="cn.jiexun.sighting.v1", source="/vision/b", time=NOW, data={"id": "s"})
        case = make_case(evidence=pictured(1), state=State.CLOSED)
        old = replace(make_event("closed", case=case), at=NOW - 400 * DAY)
        store.append([seen], [old])
    archive = FolderEvidence(tmp_path / "evidence")
    archive.put(jpeg(1))
    os.utime(archive.folder / name(1), (0, 0))
    code, document, _ = run("expire", "--store", url, "--dry-run", "--json")
    assert (code, document["expired"], document["days"], document["dry_run"]) == (0, 1, 90, True)
    code, document, said = run("expire", "--store", url, "--days", "30", "--json")
    assert (code, document["pictures"], document["expired"], document["cases"]) == (0, 1, 1, 1)
    assert "1 removed" in said
    assert list(archive.folder.iterdir()) == []


def test_a_store_that_read_nothing_is_taken_for_the_wrong_one(run, tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    Store.open(url).close()
    archive = FolderEvidence(tmp_path / "evidence")
    archive.put(jpeg(1))
    os.utime(archive.folder / name(1), (0, 0))
    code, _, said = run("expire", "--store", url)
    assert code == 1
    assert "right one" in said
    assert archive.get(name(1)) is not None


@pytest.mark.parametrize("days", ["0", "-1", "many"])
def test_days_that_are_none_are_refused(run, monkeypatch, tmp_path: Path, days: str) -> None:
    monkeypatch.setenv("JIEXUN_EVIDENCE_DAYS", days)
    code, _, said = run("expire", "--store", f"sqlite:///{tmp_path / 'city.db'}")
    assert code == 1
    assert "JIEXUN_EVIDENCE_DAYS" in said
