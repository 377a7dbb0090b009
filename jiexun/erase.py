"""The command `erase`: pictures, names and ways of vehicles are removed from a store, which says so in its log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Annotated, Any

import typer

from dispatcher.access.principal import LOCAL
from dispatcher.area import Areas
from dispatcher.dispatch import REMEMBERED
from dispatcher.document import one_line
from dispatcher.engine import Engine
from dispatcher.engines import Which, decides
from dispatcher.erasure import Selection, inside
from dispatcher.store import erasure, reports, retention
from dispatcher.store import work as log
from dispatcher.store.database import drop_freed, explained_failures
from dispatcher.store.erasure import Plan
from dispatcher.store.gone import Why, day_of
from dispatcher.store.store import Store
from dispatcher.work.entry import Entry
from dispatcher.work.step import Act
from ingest.frame import parse_rfc3339, rfc3339
from jiexun.options import EvidenceUrl, Json, explained
from jiexun.report import console, warn
from jiexun.retention import DryRun, UpkeepStore
from jiexun.run import open_evidence, stored_in
from jiexun.settings import Settings
from jiexun.streams import areas_of, default_store
from models.taxonomy import Taxonomy
from vision.pictures import NAME, EvidenceArchive

TABLES = ("inputs", "kept", "known", "cases", "reports", "reporters")  # in which something was written over


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done, or would be."""

    sightings: int
    passes: int
    pictures: int  # that a store of ours has, or had
    elsewhere: int  # pictures that are not ours to remove
    cases: int  # that have to do without a picture
    reports: int  # of citizens, whose words and names go
    entry: str | None = None  # hash of the entry in the log of actions
    complete: bool = True  # False: somebody reads the database, and what he sees stays until the next erasure

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def found(store: Store, areas: Areas, selection: Selection) -> Plan:
    """What a selection takes. Reads all of the store's inputs, as a dispatcher that starts without a snapshot.

    Raises ValueError for a store of the joint engine: it places what a vehicle saw together, so that it would decide
    otherwise, and tell of it anew, without the names.
    """
    if decides(store) is Which.JOINT:
        raise ValueError("the joint engine decides on this store, and otherwise without the names of vehicles")
    taxonomy = Taxonomy.read()
    # A store may be read again by the stream's engine, which forgets, and by that of a replay, which does not.
    engines = [Engine(areas, taxonomy, remembered=REMEMBERED), Engine(areas, taxonomy)]
    plan = erasure.planned(store.inputs(), engines, selection)
    with store.reading() as connection:
        plan.reports = reports.chosen(connection, lambda r: selection.takes_report(r.lat, r.lon, r.seen_at))
    return plan


def counted(store: Store, plan: Plan) -> Erased:
    """What doing it would come to."""
    ours = {name for name in plan.pictures if NAME.fullmatch(name)}
    with store.reading() as connection:
        cases = len(retention.cases_with(connection, plan.pictures))
    elsewhere = len(plan.pictures) - len(ours)
    return Erased(len(plan.sightings), len(plan.passes), len(ours), elsewhere, cases, len(plan.reports))


def done(
    store: Store, archive: EvidenceArchive, plan: Plan, asked: Mapping[str, Any], reason: str | None, now: datetime
) -> Erased:
    """Do it. Ended anywhere between, the same again completes it: the inputs, by which it is found, go last.

    Call it with the right to decide: a dispatcher that runs would write again what it knows.
    """
    at, about = rfc3339(now), counted(store, plan)
    with store.writing() as connection:
        retention.give_up(connection, plan.pictures, Why.ERASED, at)
    for name in sorted(plan.pictures):
        if NAME.fullmatch(name):
            archive.remove(name)
    numbers = {
        name: getattr(about, name) for name in ("sightings", "passes", "pictures", "elsewhere", "cases", "reports")
    }
    with store.writing() as connection:
        erasure.overwrite(connection, plan, day_of(at))
        entry = log.chained(connection, _entry({"asked": dict(asked), **numbers}, reason, now))
        engine = connection.engine
    return Erased(**numbers, entry=entry.hash, complete=drop_freed(engine, TABLES))


def _entry(details: Mapping[str, Any], reason: str | None, now: datetime) -> Entry:
    return Entry(
        seq=0,
        case="",
        act=Act.ERASE,
        actor=LOCAL.id,
        name=LOCAL.name,
        at=now,
        reason=reason,
        details=details,
        event=None,
    )


def erase(
    vehicle: Annotated[str | None, typer.Option(help="What this vehicle saw.")] = None,
    area: Annotated[str | None, typer.Option(help="What was seen in the area with this code, of any layer.")] = None,
    before: Annotated[
        str | None, typer.Option(help="What was seen before a time (2026-11-20T08:00:00+08:00) or a day (2026-11-20).")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the log of actions.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    store: UpkeepStore = None,
    evidence: EvidenceUrl = None,
    json: Json = False,
) -> None:
    """Remove pictures, which vehicle drove where, and names and words of citizens' reports; cases stay. No way back.

    What is named must all be met. The dispatcher must be stopped meanwhile; vehicles and workers may go on. It is an
    entry in the log that `jiexun audit verify` walks. docs/privacy.md says what it cannot reach.

    Examples:

        jiexun erase --vehicle bus-0417 --dry-run

        jiexun erase --area 440304008 --before 2026-01-01 --reason 个人信息删除申请 --yes --json
    """
    with explained() as settings, explained_failures():
        if vehicle is None and area is None and before is None:
            raise ValueError("name what is to be erased: --vehicle, --area, --before, or several of them")
        if json and not (yes or dry_run):
            raise ValueError("--json asks nobody: it needs --yes or --dry-run")
        url = store or settings.store or default_store(settings)
        folder = stored_in(url, settings)
        archive = open_evidence(evidence or settings.evidence or str(folder / "evidence"), settings)
        with Store.open(url) as opened:
            areas, _ = areas_of(opened, None)
            until = None if before is None else _time(before, settings)
            within = None if area is None else inside(areas, area)
            asked = {"vehicle": vehicle, "area": area, "before": None if until is None else rfc3339(until)}
            selection = Selection(vehicle=vehicle, within=within, before=until)
            about = _run(opened, archive, areas, selection, asked, reason, sure=yes, dry_run=dry_run)
        if json:
            print(one_line(about.document() | {"asked": asked, "dry_run": dry_run}))


def _run(
    store: Store,
    archive: EvidenceArchive,
    areas: Areas,
    selection: Selection,
    asked: Mapping[str, Any],
    reason: str | None,
    *,
    sure: bool,
    dry_run: bool,
) -> Erased:
    lease = None if dry_run else store.lease()
    if lease is None and not dry_run:
        raise ValueError("a dispatcher decides on this store, and would write again what it knows: stop it first")
    try:
        plan = found(store, areas, selection)
        about = counted(store, plan)
        _say(about)
        if dry_run:
            return about
        if not sure and not _agreed():
            raise ValueError("nothing was erased")
        about = done(store, archive, plan, asked, reason, datetime.now(UTC))
    finally:
        if lease is not None:
            lease.release()
    console.print(f"erased; the entry in the log of actions has the hash {about.entry}")
    if not about.complete:
        warn("somebody reads the database: its old pages go when the next writer empties the log")
    return about


def _say(about: Erased) -> None:
    console.print(f"{about.sightings} sightings, {about.passes} passes, {about.pictures} pictures, ", end="")
    console.print(f"{about.reports} reports", end="")
    console.print(f"; {about.cases} cases have to do without a picture")
    if about.elsewhere:
        warn(f"{about.elsewhere} pictures are kept elsewhere and must be removed there")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise ValueError("there is no way back: say --yes")
    return typer.confirm("Erase them? There is no way back.", err=True)


def _time(text: str, settings: Settings) -> datetime:
    """A time, or the beginning of a day where the cameras are."""
    if len(text) == len("2026-11-20"):
        try:
            return datetime.combine(datetime.fromisoformat(text).date(), time(), settings.timezone)
        except ValueError:
            pass
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise ValueError(f"--before {text}: {error}") from None
