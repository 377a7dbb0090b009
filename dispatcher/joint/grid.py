"""Grid: an index of points in squares of about 50 m. A look-up costs what its reach asks for, whatever is stored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

STEP_M: Final = 50.0
STEP_DEG: Final = STEP_M / 111_000.0
ROW: Final = 1 << 32

T = TypeVar("T")


def square_of(lat: float, lon: float) -> int:
    """The square a point lies in, as one number."""
    return math.floor(lat / STEP_DEG) * ROW + math.floor(lon / STEP_DEG)


def squares_near(lat: float, lon: float, reach_m: float) -> list[int]:
    """The squares that come within reach of a point, in a fixed order."""
    per_column = STEP_M * max(0.05, math.cos(math.radians(lat)))
    row, column = lat / STEP_DEG, lon / STEP_DEG
    up, side = reach_m / STEP_M, reach_m / per_column
    columns = range(math.floor(column - side), math.floor(column + side) + 1)
    return [r * ROW + c for r in range(math.floor(row - up), math.floor(row + up) + 1) for c in columns]


class Grid(Generic[T]):
    """Things by key and square."""

    def __init__(self) -> None:
        self._squares: dict[str, dict[int, dict[int, T]]] = {}
        self._at: dict[int, tuple[str, int]] = {}  # by number

    def put(self, number: int, item: T, key: str, lat: float, lon: float) -> None:
        """Add an item, or move it."""
        square = square_of(lat, lon)
        before = self._at.get(number)
        if before == (key, square):
            return
        if before is not None:
            self.drop(number)
        self._squares.setdefault(key, {}).setdefault(square, {})[number] = item
        self._at[number] = (key, square)

    def drop(self, number: int) -> None:
        before = self._at.pop(number, None)
        if before is not None:
            squares = self._squares[before[0]]
            items = squares[before[1]]
            del items[number]
            if not items:
                del squares[before[1]]

    def near(self, key: str, lat: float, lon: float, reach_m: float) -> list[T]:
        """The items of a key in the squares within reach."""
        return self.within(key, squares_near(lat, lon, reach_m))

    def within(self, key: str, squares: Iterable[int]) -> list[T]:
        known = self._squares.get(key)
        if known is None:
            return []
        found: list[T] = []
        for square in squares:
            items = known.get(square)
            if items:
                found += items.values()
        return found
