"""Commands of the desk: check and import what an operator says about the work, and verify the log of actions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dispatcher.area import Area
from dispatcher.document import one_line
from dispatcher.store import work as log
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from dispatcher.work.book import CHECKS, Page
from dispatcher.work.clock import Clock
from dispatcher.work.doubts import doubts
from dispatcher.work.duty import Duty
from dispatcher.work.entry import Kept, Verdict, verified
from dispatcher.work.imported import imported
from jiexun.options import Json, explained
from jiexun.report import console
from jiexun.settings import Settings
from jiexun.streams import areas_of, default_store
from models.taxonomy import Taxonomy

work_app = typer.Typer(no_args_is_help=True, help="What offices work by: deadlines, rosters, policies, zones.")
audit_app = typer.Typer(no_args_is_help=True, help="The log of everything that offices did.")
DeskStore = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
]
Kind = Annotated[Page, typer.Argument(help="What the file says.")]
File = Annotated[Path, typer.Argument(help="TOML, or GeoJSON for zones.")]


@work_app.command("check")
def work_check(kind: Kind, file: File, json: Json = False) -> None:
    """Read a file of local data and say what is wrong with it, without keeping it.

    Examples:

        jiexun work check duty rosters.toml

        jiexun work check zones stalls.geojson
    """
    with explained():
        _say(kind, file, _checked(kind, _text(file)), json, f"{file}: a {kind} that the desk can work by")


@work_app.command("import")
def work_import(kind: Kind, file: File, store: DeskStore = None, json: Json = False) -> None:
    """Check a file of local data and keep it in the store, in place of the one before; desks use it at once.

    Examples:

        jiexun work import filing futian.toml --store sqlite:///city.db

        jiexun work import policy policies.toml --store sqlite:///city.db
    """
    with explained() as settings, explained_failures():
        text = _text(file)
        with Store.open(_url(store, settings)) as opened:
            remarks = _checked(kind, text, areas_of(opened, None)[0])
            imported(opened, kind, text, datetime.now(UTC))
        _say(kind, file, remarks, json, f"{kind}: imported from {file}")


@audit_app.command("verify")
def audit_verify(
    store: DeskStore = None,
    head: Annotated[
        str | None, typer.Option("--head", help="A hash noted earlier: it must still be in the log.")
    ] = None,
    json: Json = False,
) -> None:
    """Walk the hash-chained log of actions and name the first entry that is not as it was written.

    Note the hash it prints somewhere else: with --head a log that was cut short, or written anew, is noticed too.

    Examples:

        jiexun audit verify --store sqlite:///city.db

        jiexun audit verify --head 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --json
    """
    with explained() as settings, explained_failures():
        with Store.open(_url(store, settings)) as opened:
            verdict, known = _walked(opened, head)
        document: dict[str, Any] = verdict.document()
        if head is not None:
            document["head_known"] = known
        if json:
            print(one_line(document))
        if verdict.broken is not None:
            raise ValueError(f"entry {verdict.broken} of the log of actions is broken: {verdict.why}")
        if not known:
            raise ValueError(f"no entry of the log has the hash {head}: it was cut short or written anew")
        console.print(f"{verdict.entries} entries, unbroken; the last has the hash {verdict.head}")


def _walked(store: Store, head: str | None) -> tuple[Verdict, bool]:
    """What the walk found, and whether it met the hash that was noted earlier."""
    seen = head is None

    def rows() -> Any:
        nonlocal seen
        seq = 0
        while page := _page(store, seq):
            for row in page:
                seen = seen or row.hash == head
                yield row
            seq = page[-1].seq

    verdict = verified(rows())
    return verdict, seen


def _page(store: Store, after: int) -> list[Kept]:
    with store.reading() as connection:
        return log.log_rows(connection, after)


def _url(named: str | None, settings: Settings) -> str:
    return named or settings.store or default_store(settings)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8, not GBK") from None


def _checked(kind: Page, text: str, areas: Iterable[Area] = ()) -> list[str]:
    """What deserves a second look. Raises ValueError for what is wrong."""
    found = CHECKS[kind](text)
    remarks = list(doubts(kind, text, matters=Taxonomy.read().by_code, areas=[area.code for area in areas]))
    if isinstance(found, Duty) and not (found.shifts or found.officers):
        remarks.append("no [[shift]] and no [[officer]]: nobody is ever on duty")
    if isinstance(found, Clock):
        remarks.append(f"business hours {found.hours}")
    return remarks


def _say(kind: Page, file: Path, remarks: list[str], json: bool, done: str) -> None:
    if json:
        print(one_line({"kind": str(kind), "file": str(file), "notes": remarks}))
        return
    for remark in remarks:
        console.print(f"[yellow]note:[/] {escape(remark)}")
    console.print(done)
