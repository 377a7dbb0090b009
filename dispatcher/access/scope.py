"""Scope: which areas somebody may read. The one rule of who sees what; SQL and console say the same in their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

LEVELS = (2, 4, 6, 9, 12, 15)  # digits of national codes: province, city, district, street, community, grid


def stem(code: str) -> str:
    """What the codes below an area begin with: 440304001 for the street 440304001, also when padded to 440304001000."""
    while len(code) > 6 and code.endswith("000"):
        code = code[:-3]
    while len(code) in (4, 6) and code.endswith("00"):  # 440300 is a city, 440000 a province
        code = code[:-2]
    return code


def lies_in(area: str, code: str) -> bool:
    """Whether an area has a code, or lies below it, by what the two begin with; padded with zeros or not."""
    return area == code or area.startswith(stem(code))


def above(codes: Iterable[str]) -> set[str]:
    """The stems of all areas in which these areas lie by their codes, their own codes among them."""
    found = set()
    for code in codes:
        found.add(code)
        found.update(code[:n] for n in LEVELS if len(code) > n and code[:n].isascii() and code[:n].isdigit())
    return found


@dataclass(frozen=True, slots=True)
class Span:
    """Codes from `low` up to, but not including, `high`: those that begin with a stem."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Area codes with all that lies below them; None is everything, also what no area owns."""

    areas: frozenset[str] | None

    @classmethod
    def of(cls, areas: Iterable[str], parents: Mapping[str, str]) -> Self:
        """With the areas that a file puts below these: their codes need not begin alike."""
        wanted = cls(frozenset(areas))
        further = {code for code in parents if not wanted.covers(code) and wanted._above(code, parents)}
        return cls(frozenset(areas) | further)

    def covers(self, code: str) -> bool:
        """Whether an area is one of these, or lies below one by its code."""
        if self.areas is None or code in self.areas:
            return True
        spans, _ = self.parts()
        return any(span.low <= code < span.high for span in spans)

    def parts(self) -> tuple[list[Span], list[str]]:
        """The spans of national codes, and the codes that stand for themselves alone."""
        spans, alone = [], []
        for code in sorted(self.areas or ()):
            found = _span(code)
            if found is None:
                alone.append(code)
            else:
                spans.append(found)
        return spans, alone

    def stems(self) -> frozenset[str]:
        """What codes begin with that lie in this scope, or are: `above` says of a code what it begins with."""
        spans, alone = self.parts()
        return frozenset({span.low for span in spans} | set(alone))

    def _above(self, code: str, parents: Mapping[str, str]) -> bool:
        seen = {code}
        parent = parents.get(code)
        while parent is not None and parent not in seen:  # a file may hold a circle
            if self.covers(parent):
                return True
            seen.add(parent)
            parent = parents.get(parent)
        return False


EVERYTHING = Scope(None)


def _span(code: str) -> Span | None:
    """None for a code that is not built as the national ones are: what lies below it cannot be told from codes."""
    low = stem(code)
    if not (low.isascii() and low.isdigit() and len(low) in LEVELS):
        return None
    if set(low) == {"9"}:
        return Span(low, ":")  # the sign after 9
    return Span(low, f"{int(low) + 1:0{len(low)}d}")
