"""Taxonomy: what kinds of disorder there are, by national code, and which kind a model's class is.

`matters.csv` is data that a city edits: it fills `code_local`, and maps a new class of a model by writing its name
into `kind`. The codes are those of GB/T 47678.5-2026; `code_2013` is the code in GB/T 30428.2-2013 where one is known.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

DEFAULT_PATH = Path(__file__).with_name("matters.csv")
COLUMNS = ("code", "major", "major_name", "name", "code_2013", "code_local", "name_en", "kind", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One row of matters.csv. An empty column is None."""

    code: str  # 5 digits, GB/T 47678.5-2026
    major: str  # the first two of them
    major_name: str
    name: str  # the official Chinese name
    name_en: str
    code_2013: str | None = None  # 4 digits, GB/T 30428.2-2013
    code_local: str | None = None  # the city's own
    kind: str | None = None  # the model class that shows it
    group: str | None = None  # kinds of one group may be one physical thing; None: the kind alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A kind that is an object and no violation: it anchors positions and is never pushed."""

    name: str
    name_en: str
    group: str


THINGS: Mapping[str, Thing] = MappingProxyType(
    {"garbage_bin": Thing(name="垃圾桶", name_en="garbage bin", group="bin")}
)


class TaxonomyUnreadable(ValueError):
    """matters.csv is missing, or one of its rows contradicts the rest: mended by hand, at the row that is named."""


class Taxonomy:
    """All matters, and what each kind means."""

    def __init__(self, matters: Iterable[Matter]) -> None:
        self.by_code: Mapping[str, Matter] = MappingProxyType({matter.code: matter for matter in matters})
        self._by_kind = {matter.kind: matter for matter in self.by_code.values() if matter.kind is not None}

    @classmethod
    def read(cls, path: Path | None = None) -> Taxonomy:
        """Read a matters.csv, the shipped one without `path`. Raises TaxonomyUnreadable naming file and row."""
        path = DEFAULT_PATH if path is None else path
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise TaxonomyUnreadable(f"{path} cannot be read ({error}): restore it, or name another") from None
        return cls(_checked(path, csv.DictReader(text.splitlines())))

    def matter_of_kind(self, kind: str) -> str | None:
        """The code a kind is filed under; None for an object and for a kind that nobody mapped."""
        matter = self._by_kind.get(kind)
        return None if matter is None else matter.code

    def name_zh(self, kind: str) -> str:
        """The Chinese name of a kind, or of a code that stands for one; the kind itself when unknown."""
        known = self._by_kind.get(kind) or self.by_code.get(kind) or THINGS.get(kind)
        return kind if known is None else known.name

    def name_en(self, kind: str) -> str:
        """The English name of a kind, or of a code that stands for one; the kind itself when unknown."""
        known = self._by_kind.get(kind) or self.by_code.get(kind) or THINGS.get(kind)
        return kind if known is None else known.name_en

    def group_of_kind(self, kind: str) -> str:
        """The identity group of a kind: only things of one group can be the same thing."""
        known = self._by_kind.get(kind) or THINGS.get(kind)
        return (known.group if known is not None else None) or kind


def _checked(path: Path, rows: csv.DictReader[str]) -> Iterator[Matter]:
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise TaxonomyUnreadable(f"{path} lacks the column {', '.join(missing)}")
    seen: set[str] = set()
    for row in rows:
        matter = Matter(**{name: (row[name] or "").strip() or None for name in COLUMNS})  # type: ignore[arg-type]  # checked next
        for fault in _faults(matter, seen):
            raise TaxonomyUnreadable(f"{path} line {rows.line_num}: {fault}")
        seen |= {matter.code, matter.kind or matter.code}
        yield matter


def _faults(matter: Matter, seen: set[str]) -> Iterator[str]:
    if not re.fullmatch(r"[0-9]{5}", matter.code or ""):
        yield f"code {matter.code!r} is not 5 digits (a spreadsheet may have eaten a leading zero)"
    elif matter.major != matter.code[:2]:
        yield f"major {matter.major!r} is not how code {matter.code} begins"
    if not matter.name or not matter.name_en or not matter.major_name:
        yield f"code {matter.code} lacks a name"
    if matter.code in seen or matter.kind in seen:
        yield f"code {matter.code} or kind {matter.kind!r} appears twice"
    if matter.kind in THINGS:
        yield f"kind {matter.kind!r} is an object and can have no code"
