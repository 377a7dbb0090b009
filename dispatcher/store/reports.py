"""Reports in the store: what was said, who said it (apart), and which case it is of."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, insert, or_, select, update

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.open311.limits import SPAN, Limits, TooMany, reporter_of, wait_until
from dispatcher.open311.report import PREFIX, Contact, Report, Taking, parsed_report
from dispatcher.store import tables
from dispatcher.store.bulk import delete_rows, insert_rows
from dispatcher.store.database import writer
from dispatcher.store.report_tables import report_cases, reporters, reports
from dispatcher.store.rows import StoredEvent
from dispatcher.store.seen_by import visible
from dispatcher.store.work_tables import work
from ingest.frame import parse_rfc3339, rfc3339

PAGE = 500
MOST = 1000  # of a listing
UNLIMITED = Limits(sender=0, reporter=0)
OPEN = ("candidate", "open", "handled")  # states of a case whose reports are open


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A report and what has become of it. Without a case the engine has not taken it, or refused it."""

    report: Report
    taking: Taking
    why: str | None
    asked: str | None
    case: str | None
    state: str | None  # of the case
    area: str | None  # its most probable owner
    office: str | None  # that works on it
    due_at: str | None
    changed_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFilter:
    """Which reports to list. A field that is None does not narrow."""

    ids: tuple[str, ...] | None = None
    matters: tuple[str, ...] | None = None
    since: str | None = None
    until: str | None = None
    open: bool | None = None


class Reports:
    """Every report. A reader gets those it sent itself, and those of cases in its scope."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

    def add(
        self,
        report: Report,
        contact: Contact,
        key: str | None = None,
        asked: str | None = None,
        limits: Limits = UNLIMITED,
    ) -> Standing:
        """Keep a report that waits to be taken; one that was sent under this key before is given back as it stands.

        Raises TooMany, and keeps nothing.
        """
        with self._writer.begin() as connection:
            if key is not None:
                known = _query().where(reports.c.sender == report.sender, reports.c.key == key)
                before = connection.execute(known).one_or_none()
                if before is not None:
                    return _standing(before)
            reporter = reporter_of(contact, report.sender)
            _admit(connection, report, reporter, limits)
            values = {
                "id": report.id,
                "token": report.token,
                "matter": report.matter,
                "at": report.document()["at"],
                "sender": report.sender,
                "key": key,
                "asked": asked,
                "taking": str(Taking.WAITING),
                "document": json.dumps(report.document(), ensure_ascii=False),
            }
            connection.execute(insert(reports).values(values))
            if said := contact.document():
                text = json.dumps(said, ensure_ascii=False)
                connection.execute(insert(reporters).values(report=report.id, reporter=reporter, document=text))
            return _standing(connection.execute(_query().where(reports.c.id == report.id)).one())

    def any_waiting(self) -> bool:
        query = select(reports.c.id).where(reports.c.taking == str(Taking.WAITING)).limit(1)
        with self._engine.begin() as connection:
            return connection.execute(query).first() is not None

    def find(self, id: str, sender: str, scope: Scope = EVERYTHING) -> Standing | None:
        """By its id, or by the token that stands for it."""
        wanted = _query().where(or_(reports.c.id == id, reports.c.token == id), _mine(sender, scope))
        with self._engine.begin() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else _standing(row)

    def listing(self, where: ReportFilter, sender: str, scope: Scope) -> list[Standing]:
        """The reports that match, the last one first, no more than MOST."""
        query = _query().where(_mine(sender, scope))
        if where.ids is not None:
            query = query.where(reports.c.id.in_(where.ids))
        if where.matters is not None:
            query = query.where(reports.c.matter.in_(where.matters))
        if where.since is not None:
            query = query.where(reports.c.at >= where.since)
        if where.until is not None:
            query = query.where(reports.c.at <= where.until)
        if where.open is not None:
            over = (tables.cases.c.state.not_in(OPEN)) | (reports.c.taking == str(Taking.REFUSED))
            query = query.where(tables.cases.c.state.in_(OPEN) | waits() if where.open else over)
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(reports.c.at.desc(), reports.c.id).limit(MOST)).all()
        return [_standing(row) for row in rows]

    def of_case(self, case: str, scope: Scope) -> list[tuple[Report, Contact | None]]:
        """The reports of a case that is shown to a scope, oldest first, each with who made it."""
        query = (
            select(reports.c.document, reporters.c.document.label("contact"))
            .join(report_cases, report_cases.c.report == reports.c.id)
            .outerjoin(reporters, reporters.c.report == reports.c.id)
            .where(report_cases.c.case == case, visible(report_cases.c.case, scope))
            .order_by(reports.c.at, reports.c.id)
        )
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [
            (
                parsed_report(json.loads(row.document)),
                None if row.contact is None else Contact(**json.loads(row.contact)),
            )
            for row in rows
        ]


def _admit(connection: Connection, report: Report, reporter: str | None, limits: Limits) -> None:
    """Raises TooMany. The write lock is held: of many that come at once no more slip through."""
    own = select(reports.c.at).where(reports.c.sender == report.sender)
    named = select(reports.c.at).join(reporters, reporters.c.report == reports.c.id)
    checks = [("this sender", limits.sender, own)]
    if reporter is not None:
        checks.append(("this reporter", limits.reporter, named.where(reporters.c.reporter == reporter)))
    for whose, limit, query in checks:
        recent = query.where(reports.c.at > rfc3339(report.at - SPAN)).order_by(reports.c.at.desc())
        oldest = connection.scalar(recent.offset(limit - 1).limit(1)) if limit else None
        if oldest is not None:
            raise TooMany(whose, limit, wait_until(parse_rfc3339(oldest), report.at))


def waits() -> Any:
    return reports.c.taking == str(Taking.WAITING)


def waiting(connection: Connection, limit: int) -> list[Report]:
    """Reports that the engine has not heard of, in the order in which they came. The write lock is held."""
    query = select(reports.c.document).where(waits()).order_by(reports.c.at, reports.c.id).limit(limit)
    return [parsed_report(json.loads(document)) for document in connection.scalars(query)]


def taken(connection: Connection, id: str, why: str | None = None) -> None:
    """The engine has taken it, or refused it and said why."""
    taking = Taking.TAKEN if why is None else Taking.REFUSED
    connection.execute(update(reports).where(reports.c.id == id).values(taking=str(taking), why=why))


def chosen(connection: Connection, takes: Callable[[Report], bool]) -> set[str]:
    """Ids of the reports that somebody wants and that still say more than what lies where."""
    named = set(connection.scalars(select(reporters.c.report)))
    found = (parsed_report(json.loads(document)) for document in connection.scalars(select(reports.c.document)))
    return {report.id for report in found if takes(report) and (report.worded or report.id in named)}


def forget(connection: Connection, ids: Collection[str]) -> None:
    """Leave of reports what lies where, and neither who said so nor in what words. The write lock is held."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), PAGE):
        some = wanted[start : start + PAGE]
        connection.execute(delete(reporters).where(reporters.c.report.in_(some)))
        query = select(reports.c.id, reports.c.document).where(reports.c.id.in_(some))
        for id, document in connection.execute(query).all():
            left = parsed_report(json.loads(document)).wordless()
            text = json.dumps(left.document(), ensure_ascii=False)
            connection.execute(update(reports).where(reports.c.id == id).values(document=text))


def place(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """A report is of the case that named it last: so it goes along when cases are merged or split."""
    last = {id: event.case for event in events for id in _reported(event.document["sightings"])}
    delete_rows(connection, report_cases, [{"report": id} for id in last])
    insert_rows(connection, report_cases, [{"report": id, "case": case} for id, case in last.items()])


def _reported(sightings: Iterable[str]) -> Iterable[str]:
    return (id for id in sightings if id.startswith(PREFIX))


def _mine(sender: str, scope: Scope) -> Any:
    return or_(reports.c.sender == sender, visible(report_cases.c.case, scope))


def _query() -> Select[Any]:
    cases, events = tables.cases, tables.events
    return (
        select(
            reports,
            report_cases.c.case,
            cases.c.state,
            cases.c.area,
            events.c.at.label("changed_at"),
            work.c.office,
            work.c.due_at,
        )
        .outerjoin(report_cases, report_cases.c.report == reports.c.id)
        .outerjoin(cases, cases.c.id == report_cases.c.case)
        .outerjoin(events, events.c.seq == cases.c.updated)
        .outerjoin(work, work.c.case == report_cases.c.case)
    )


def _standing(row: Any) -> Standing:
    return Standing(
        report=parsed_report(json.loads(row.document)),
        taking=Taking(row.taking),
        why=row.why,
        asked=row.asked,
        case=row.case,
        state=row.state,
        area=row.area,
        office=row.office,
        due_at=row.due_at,
        changed_at=row.changed_at,
    )
