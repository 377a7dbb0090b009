"""Gone: pictures that a case has to do without, and what it says instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, select

from dispatcher.store.bulk import rows_with
from dispatcher.store.gone_tables import gone
from dispatcher.store.rows import Document
from dispatcher.work.calendar import CHINA
from ingest.frame import parse_rfc3339


class Why(StrEnum):
    """Why a picture was deleted."""

    EXPIRED = "expired"  # by the policy of retention
    ERASED = "erased"  # somebody asked for it


def given_up(name: ColumnElement[str], case: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that a case, by the column that holds its id, has given a picture up."""
    return exists().where(gone.c.name == name, gone.c.case == case)


def without(connection: Connection, documents: Mapping[str, Document]) -> dict[str, Document]:
    """Of these cases, by id, the documents that name a picture they have given up: with the reason instead of it."""
    said = _reasons(connection, list(documents))
    changed = {}
    for case, document in documents.items():
        reason = said.get((case, (document["evidence"] or {}).get("uri")))
        if reason is not None:
            changed[case] = document | {"evidence": missing(reason)}
    return changed


def missing(reason: str) -> Document:
    """The evidence of a case that has no picture."""
    return {"uri": None, "sha256": None, "box_xyxy": None, "missing": reason}


def reason(why: Why, at: str) -> str:
    """As a case says it: "expired: 2026-11-27". `at` is RFC 3339."""
    return f"{why}: {day_of(at)}"


def day_of(at: str) -> str:
    """The day in China."""
    return parse_rfc3339(at).astimezone(CHINA).date().isoformat()


def _reasons(connection: Connection, cases: Sequence[str]) -> dict[tuple[str, Any], str]:
    found: dict[tuple[str, Any], str] = {}
    for row in rows_with(connection, select(gone), gone.c.case, cases):
        found[row.case, row.name] = reason(Why(row.why), row.at)
    return found
