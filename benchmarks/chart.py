"""Charts as SVG, written by hand: what a benchmark needs to be looked at, and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

COLOURS = ("#1f6feb", "#8250df", "#6e7781", "#9a6700", "#bf8700", "#cf222e", "#1a7f37")
FONT = 'font-family="sans-serif" font-size="12"'


def bars(path: Path, title: str, series: Mapping[str, Mapping[str, float | None]], top: float = 1.0) -> None:
    """Groups of bars: name of a series -> name of a group -> height, cut at `top`."""
    groups = list(next(iter(series.values())))
    wide, high = 18 * len(series) + 26, 220
    out = [_text(8, 18, title, "bold")]
    for g, group in enumerate(groups):
        x0 = 40 + g * wide
        for s, (_, values) in enumerate(series.items()):
            value = values[group]
            tall = 0.0 if value is None else min(value, top) / top * high
            x, y = x0 + s * 18, 50 + high - tall
            colour = COLOURS[s % len(COLOURS)]
            out.append(f'<rect x="{x}" y="{y:.1f}" width="15" height="{tall:.1f}" fill="{colour}"/>')
            label = "–" if value is None else f"{value:.2f}"
            out.append(
                f'<text x="{x + 7}" y="{y - 3:.1f}" font-size="8" text-anchor="middle" {FONT[:24]}>{label}</text>'
            )
        out.append(_text(x0, 50 + high + 18, group))
    for s, name in enumerate(series):
        x = 40 + s * 120
        out.append(f'<rect x="{x}" y="{high + 88}" width="12" height="12" fill="{COLOURS[s % len(COLOURS)]}"/>')
        out.append(_text(x + 18, high + 98, name))
    _write(path, max(40 + wide * len(groups), 60 + 120 * len(series)), high + 112, out)


def lines(path: Path, title: str, unit: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Lines over a logarithmic x axis: name -> (x, y) points. The y axis begins at 0."""
    points = [point for line in series.values() for point in line]
    low, high = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    top = max(y for _, y in points) * 1.15
    out = [_text(8, 18, title, "bold"), _text(8, 38, unit)]
    for exponent in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        x = _x(10.0**exponent, low, high)
        out.append(f'<line x1="{x:.1f}" y1="50" x2="{x:.1f}" y2="270" stroke="#d0d7de"/>')
        out.append(_text(x - 16, 288, f"{10**exponent:,}"))
    for n, (name, line) in enumerate(series.items()):
        colour = COLOURS[n % len(COLOURS)]
        placed = [(_x(x, low, high), 270 - 220 * y / top, y) for x, y in line]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
        out.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y, _ in placed]
        out += [_text(x - 12, y - 8, f"{value:,.2f}") for x, y, value in placed]
        out.append(f'<rect x="{60 + 220 * n}" y="300" width="12" height="12" fill="{colour}"/>')
        out.append(_text(78 + 220 * n, 310, name))
    _write(path, 620, 325, out)


def _x(value: float, low: float, high: float) -> float:
    return 60 + 520 * (math.log10(value) - low) / max(high - low, 1e-9)


def _text(x: float, y: float, words: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" {FONT}>{escape(words)}</text>'


def _write(path: Path, wide: float, high: float, parts: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}">'
    path.write_text("\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>\n"]), "utf-8")
