"""The command `expire`: evidence pictures that no case needs any more are removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import typer

from dispatcher.document import one_line
from dispatcher.store import retention
from dispatcher.store.database import explained_failures
from dispatcher.store.gone import Why
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from jiexun.options import EvidenceUrl, Json, explained
from jiexun.report import console
from jiexun.run import open_evidence, stored_in
from jiexun.settings import days as whole_days
from jiexun.streams import default_store
from vision.pictures import EvidenceArchive, Kept

AT_ONCE = 200  # pictures decided about in one transaction

UpkeepStore = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@dataclass(slots=True)
class Swept:
    """What a sweep found and did."""

    pictures: int = 0  # that were there
    expired: int = 0  # and were removed
    bytes: int = 0  # of these
    cases: int = 0  # that have to do without one from now on; in a dry run those that would


def sweep(store: Store, archive: EvidenceArchive, *, now: datetime, days: int, dry_run: bool = False) -> Swept:
    """Remove every picture that was written so many days ago, and that no case needs: see `retention`.

    A case says so before its picture goes. Ended anywhere between, the next sweep goes on; workers and dispatchers may
    run meanwhile, and other sweeps.
    """
    before = now - timedelta(days=days)
    swept = Swept()
    without: set[str] = set()
    for some in _some(archive.kept()):
        swept.pictures += len(some)
        old = {kept.name: kept for kept in some if kept.written_at < before}
        if not old:
            continue
        gone, cases = _decided(store, set(old), rfc3339(before), None if dry_run else rfc3339(now))
        without |= cases
        for name in sorted(gone):
            if dry_run or archive.remove(name, unless_since=before):
                swept.expired += 1
                swept.bytes += old[name].size
    swept.cases = len(without)
    return swept


def _decided(store: Store, names: set[str], before: str, at: str | None) -> tuple[set[str], set[str]]:
    """Which of these pictures go, and from which cases. The cases are told, unless there is no time at which."""
    with store.reading() as connection:
        gone = retention.unneeded(connection, names, before)
        cases = retention.cases_with(connection, gone)
    if at is None or not cases:
        return gone, cases
    with store.writing() as connection:  # asked again: a case may just have been opened
        gone = retention.unneeded(connection, names, before)
        cases = retention.cases_with(connection, gone)
        retention.give_up(connection, gone, Why.EXPIRED, at)
    return gone, cases


def _some(kept: Iterable[Kept]) -> Iterator[list[Kept]]:
    pages = iter(kept)
    while page := list(islice(pages, AT_ONCE)):
        yield page


def expire(
    store: UpkeepStore = None,
    evidence: EvidenceUrl = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Days that a picture is kept; default: JIEXUN_EVIDENCE_DAYS.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove evidence pictures that no case needs any more. Run it daily; everything else may go on meanwhile.

    The pictures of open cases stay. Those of a case that is over, or was never opened, stay so many days after the
    last that happened to it. Pictures that no case names go so many days after they were written. The case then says
    why it has no picture.

    Examples:

        jiexun expire

        jiexun expire --days 30 --dry-run --json
    """
    with explained() as settings, explained_failures():
        kept_days = settings.evidence_days if days is None else whole_days(days)
        url = store or settings.store or default_store(settings)
        folder = stored_in(url, settings)
        archive = open_evidence(evidence or settings.evidence or str(folder / "evidence"), settings)
        now = datetime.now(UTC)
        with Store.open(url) as opened:
            with opened.reading() as connection:
                known = retention.has_read(connection)
            if not known:
                raise ValueError("this store has read nothing yet, so every picture would go: is it the right one?")
            swept = sweep(opened, archive, now=now, days=kept_days, dry_run=dry_run)
        _say(swept, archive, kept_days, dry_run)
        if json:
            print(one_line(_document(swept, now, kept_days, dry_run)))


def _say(swept: Swept, archive: EvidenceArchive, days: int, dry_run: bool) -> None:
    done = "would go" if dry_run else "removed"
    size = f"{swept.bytes / 1e6:,.1f} MB"
    console.print(f"{archive}: {swept.pictures} pictures, {swept.expired} {done} ({size}, {days} days)")
    console.print(f"{swept.cases} cases have to do without one")


def _document(swept: Swept, now: datetime, days: int, dry_run: bool) -> dict[str, Any]:
    before = rfc3339(now - timedelta(days=days))
    return asdict(swept) | {"days": days, "before": before, "dry_run": dry_run}
