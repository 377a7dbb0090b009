"""The arithmetic of docs/scaling.md, with its numbers or with yours.

    python -m benchmarks.scaling                     the page's tables, computed again from benchmarks/results
    python -m benchmarks.scaling V=5000 s=150000     with other values of its symbols
    python -m benchmarks.scaling --write             put the values into the page

A row of the page's tables is a symbol, what it means, where it comes from, and its value. Where it comes from is
`given`, a field such as `stream.json: transport.frames_per_s`, or a formula over the symbols above it.
"""

from __future__ import annotations

import ast
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, read_result

PAGE = ROOT / "docs" / "scaling.md"
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of the page."""

    line: int  # of the page, from 0
    symbol: str
    meaning: str
    source: str
    value: str  # as the page says it


def rows(text: str) -> list[Row]:
    """The rows of every table of the page whose first column is a symbol in backticks."""
    found = []
    for number, line in enumerate(text.splitlines()):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            found.append(Row(number, cells[0].strip("`"), cells[1], cells[2].strip("`"), cells[3]))
    return found


def computed(table: Sequence[Row], given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Symbol -> value. `given` replaces what the page has. Raises ValueError for a formula that cannot be computed."""
    values: dict[str, float] = {}
    for row in table:
        if given and row.symbol in given:
            values[row.symbol] = given[row.symbol]
        elif row.source == "given":
            values[row.symbol] = float(row.value.replace(",", ""))
        elif ".json:" in row.source:
            name, _, path = row.source.partition(".json:")
            found: Any = read_result(name)
            for field in path.strip().split("."):
                found = found[field]
            values[row.symbol] = float(found)
        else:
            values[row.symbol] = _worth(ast.parse(row.source, mode="eval").body, values)
    return values


def shown(value: float) -> str:
    """As the page writes a number: three digits at least, and never more than are needed for that."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def _worth(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=symbol) if symbol in values:
            return values[symbol]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_worth(left, values), _worth(right, values))
        case ast.Call(func=ast.Name(id="ceil"), args=[part]):
            return float(math.ceil(_worth(part, values)))
    raise ValueError(f"not a formula over symbols above it: {ast.unparse(node)}")


def written(text: str) -> str:
    """The page with its values computed again."""
    lines = text.splitlines()
    table = rows(text)
    values = computed(table)
    for row in table:
        source = row.source if row.source == "given" else f"`{row.source}`"
        lines[row.line] = f"| `{row.symbol}` | {row.meaning} | {source} | {shown(values[row.symbol])} |"
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str], page: Path = PAGE) -> None:
    text = page.read_text(encoding="utf-8")
    if list(argv) == ["--write"]:
        page.write_text(written(text), encoding="utf-8")
        return
    try:
        given = {name: float(value) for name, _, value in (word.partition("=") for word in argv)}
        values = computed(table := rows(text), given)
    except ValueError as error:
        sys.exit(f"error: {error}\n{__doc__}")
    if unknown := given.keys() - values.keys():
        sys.exit(f"error: the page has no symbol {', '.join(sorted(unknown))}")
    for row in table:
        print(f"{row.symbol:4} {shown(values[row.symbol]):>16}  {row.meaning}")


if __name__ == "__main__":
    main(sys.argv[1:])
