"""Sheet: tables of a TOML file that an operator writes, read with errors that name the row and the field."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

TimeOfDay = tuple[time, time]


class SheetWrong(ValueError):
    """A file of local data says what makes no sense: mended by hand, at the row that is named."""


class Row:
    """One row. Each question takes the field out; `done` refuses what nobody asked for."""

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        self._name, self._left = name, dict(values)

    def wrong(self, what: str) -> SheetWrong:
        return SheetWrong(f"{self._name}: {what}")

    def text(self, field: str, default: str | None = None) -> str:
        value = self._left.pop(field, default)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"{field} is missing or no text")
        return value.strip()

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts; empty when the field is not there."""
        value = self._left.pop(field, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) and entry.strip() for entry in value):
            raise self.wrong(f"{field} is no list of texts")
        return tuple(entry.strip() for entry in value)

    def number(self, field: str, default: float | None, least: float, most: float) -> float:
        value = self._left.pop(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(f"{field} is {value!r}, not a number from {least:g} to {most:g}")
        return float(value)

    def day(self, field: str) -> date | None:
        value = self._left.pop(field, None)
        if value is None:
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise self.wrong(f"{field} is {value!r}, not a date as 2026-12-01") from None

    def hours(self, field: str, default: str | None = None) -> tuple[TimeOfDay, ...]:
        """Spans of a day, as "06:00-09:00, 17:00-22:00"; one that ends before it begins goes on over midnight."""
        value = self._left.pop(field, default)
        if value is None:
            return ()
        try:
            return tuple(_span(part) for part in str(value).split(","))
        except ValueError:
            raise self.wrong(f"{field} is {value!r}, not spans as 06:00-09:00, 17:00-22:00") from None

    def choice(self, field: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(field, default)
        if value not in choices:
            raise self.wrong(f"{field} is {value!r}, not one of {', '.join(choices)}")
        return value

    def flag(self, field: str) -> bool:
        value = self._left.pop(field, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{field} is {value!r}, not true or false")
        return value

    def done(self) -> None:
        if self._left:
            raise self.wrong(f"nothing is known of {', '.join(sorted(self._left))}")


def rows(text: str, name: str, tables: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    """(table, row) of each row of a TOML text. Raises SheetWrong for what is no TOML, or has other tables."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SheetWrong(f"{name} is no TOML: {error}") from None
    unknown = sorted(document.keys() - set(tables))
    if unknown:
        raise SheetWrong(f"{name}: {unknown[0]!r} is none of {', '.join(tables)}")
    for table in tables:
        found = document.get(table, [])
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise SheetWrong(f"{name}: write each {table} as [[{table}]]")
        for number, row in enumerate(found, start=1):
            yield table, Row(f"{name}, {table} {number}", row)


def within(spans: tuple[TimeOfDay, ...], moment: time) -> bool:
    """Whether a time of day lies in a span, the end left out; without spans it always does."""
    return not spans or any(
        begin <= moment < end if begin < end else moment >= begin or moment < end for begin, end in spans
    )


def _span(text: str) -> TimeOfDay:
    begin, end = (part.strip() for part in text.split("-"))
    whole = time(0) if end == "24:00" else time.fromisoformat(end)
    return time.fromisoformat(begin), whole
