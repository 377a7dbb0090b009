"""Filing conditions: what of a matter is filed, and how long its office then has. Data that every district replaces.

A matter has several conditions (立案条件), each with its own clock; the first one is meant when nobody says which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.access.scope import stem
from dispatcher.work.clock import TimeType
from dispatcher.work.sheet import Row, SheetWrong, rows

SHIPPED = Path(__file__).with_name("filing.toml")
ANY = "*"  # of a matter that nobody has a condition for


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition and its clock."""

    id: str
    matter: str  # 5-digit code, or ANY
    when: str  # for people: what must be so
    kind: TimeType
    amount: float
    example: bool = False  # shipped to show the form; local rules replace it
    division: str | None = None  # code of the district whose rule it is; None: everywhere
    closing: str | None = None  # 结案条件: what must be so before it is closed; whoever closes it says how it was found

    def document(self) -> dict[str, Any]:
        said = {
            "id": self.id,
            "matter": self.matter,
            "when": self.when,
            "type": str(self.kind),
            "amount": self.amount,
            "example": self.example,
            "division": self.division,
        }
        return said if self.closing is None else said | {"closing": self.closing}


class Filing:
    """All conditions. A district's own for a matter replace those that hold everywhere."""

    def __init__(self, conditions: Iterable[Condition]) -> None:
        self.all = tuple(conditions)
        self._found: dict[tuple[str | None, str], list[Condition]] = {}
        seen: dict[str, Condition] = {}
        for condition in self.all:
            if condition.id in seen:
                raise SheetWrong(f"two filing conditions have the id {condition.id!r}")
            seen[condition.id] = condition
            division = None if condition.division is None else stem(condition.division)
            self._found.setdefault((division, condition.matter), []).append(condition)
        if (None, ANY) not in self._found:
            raise SheetWrong(f"no filing condition for matter {ANY!r}: a matter without its own would have no deadline")
        self._divisions = sorted({d for d, _ in self._found if d is not None}, key=len, reverse=True)

    @classmethod
    def read(cls, text: str | None = None) -> Filing:
        """The shipped examples, and of a text those that go before them. Raises SheetWrong."""
        own = [] if text is None else list(_conditions(text, "filing"))
        replaced = {condition.matter for condition in own if condition.division is None}
        shipped = _conditions(SHIPPED.read_text(encoding="utf8"), SHIPPED.name)
        return cls([*own, *(condition for condition in shipped if condition.matter not in replaced)])

    def of(self, matter: str, area: str | None) -> tuple[Condition, ...]:
        """The conditions of a matter in an area, the usual one first. Never empty."""
        divisions: list[str | None] = [d for d in self._divisions if area is not None and area.startswith(d)]
        for division in (*divisions, None):
            if found := self._found.get((division, matter)):
                return tuple(found)
        return tuple(self._found[None, ANY])

    def named(self, id: str, matter: str, area: str | None) -> Condition:
        """One of them by its id. Raises ValueError."""
        for condition in self.of(matter, area):
            if condition.id == id:
                return condition
        known = ", ".join(condition.id for condition in self.of(matter, area))
        raise ValueError(f"filing condition {id!r} is none of {known}")


def _conditions(text: str, name: str) -> Iterable[Condition]:
    for _, row in rows(text, name, ("condition",)):
        yield _condition(row)


def _condition(row: Row) -> Condition:
    division, closing = row.text("division", "-"), row.text("closing", "-")
    condition = Condition(
        id=row.text("id"),
        matter=row.text("matter"),
        when=row.text("when"),
        kind=TimeType(row.choice("type", tuple(TimeType))),
        amount=row.number("amount", None, 0.1, 3650),
        example=row.flag("example"),
        division=None if division == "-" else division,
        closing=None if closing == "-" else closing,
    )
    row.done()
    return condition
