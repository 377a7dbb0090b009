"""Grid: an index of points in squares of about 50 m. A look-up costs what its reach asks for, whatever is stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

STEP_M = 50.0
STEP_DEG = STEP_M / 111_000.0
ROW = 1 << 32

T = TypeVar("T")


def square_of(lat: float, lon: float) -> int:
    """The square a point lies in, as one number."""
    return math.floor(lat / STEP_DEG) * ROW + math.floor(lon / STEP_DEG)


def squares_near(lat: float, lon: float, reach_m: float) -> Iterator[int]:
    """The squares that come within reach of a point, in a fixed order."""
    per_column = STEP_M * max(0.05, math.cos(math.radians(lat)))
    row, column = lat / STEP_DEG, lon / STEP_DEG
    up, side = reach_m / STEP_M, reach_m / per_column
    for r in range(math.floor(row - up), math.floor(row + up) + 1):
        for c in range(math.floor(column - side), math.floor(column + side) + 1):
            yield r * ROW + c


class Grid(Generic[T]):
    """Things by key and square."""

    def __init__(self) -> None:
        self._squares: dict[tuple[str, int], dict[int, T]] = {}
        self._at: dict[int, tuple[str, int]] = {}  # by number

    def put(self, number: int, item: T, key: str, lat: float, lon: float) -> None:
        """Add an item, or move it."""
        square = (key, square_of(lat, lon))
        before = self._at.get(number)
        if before == square:
            return
        if before is not None:
            self.drop(number)
        self._squares.setdefault(square, {})[number] = item
        self._at[number] = square

    def drop(self, number: int) -> None:
        before = self._at.pop(number, None)
        if before is not None:
            items = self._squares[before]
            del items[number]
            if not items:
                del self._squares[before]

    def near(self, key: str, lat: float, lon: float, reach_m: float) -> list[T]:
        """The items of a key in the squares within reach."""
        return self.within(key, squares_near(lat, lon, reach_m))

    def within(self, key: str, squares: Iterable[int]) -> list[T]:
        found: list[T] = []
        for square in squares:
            items = self._squares.get((key, square))
            if items:
                found.extend(items.values())
        return found
