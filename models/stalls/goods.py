"""Goods: what lies, stands and hangs on a stall; and who stands beside it. Needs `bpy`, see shapes.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mathutils import Matrix

from models.stalls.shapes import CLOTH, METAL, PRODUCE, SKIN, WOOD, Point, Workbench, ball_mesh

Area = tuple[float, float, float, float, float]  # x from and to, y from and to, z of the surface: metres


def covered(w: Workbench, area: Area) -> None:
    """Fill a surface with goods, in two to four fields of a kind of their own."""
    x0, x1, y0, y1, z = area
    fields = w.rng.randint(2, 4)
    step = (x1 - x0) / fields
    one = w.rng.choice(KINDS) if w.rng.random() < 0.6 else None
    for k in range(fields):
        kind = one or w.rng.choice(KINDS)
        kind(w, (x0 + k * step + 0.02, x0 + (k + 1) * step - 0.02, y0, y1, z))


def heap(w: Workbench, area: Area) -> None:
    """Fruit or vegetables in a heap, often in a crate."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    radius = rng.uniform(0.035, 0.08)
    long = rng.choice((1.0, 1.0, 1.0, 2.5))
    if rng.random() < 0.5:
        _crate(w, area, rng.uniform(0.08, 0.2))
    mesh = ball_mesh((radius, radius * long, radius), rings=5, sides=8)
    paint = w.paint(rng.choice(PRODUCE), rough=0.5)
    height = rng.uniform(0.08, 0.3)
    for _ in range(rng.randint(60, 110)):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        edge = min(x - x0, x1 - x, y - y0, y1 - y) / max(min(x1 - x0, y1 - y0) / 2, 0.01)
        top = z + radius + height * max(edge, 0.0) * rng.uniform(0.6, 1.0)
        w.add(mesh, paint, (x, y, top), Matrix.Rotation(rng.uniform(0, 6.3), 4, "Z"))


def cartons(w: Workbench, area: Area) -> None:
    """Boxes, one upon another."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    for _ in range(rng.randint(3, 8)):
        size = (rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.45), rng.uniform(0.12, 0.4))
        colour = rng.choice((*WOOD, *CLOTH)) if rng.random() < 0.5 else (0.35, 0.22, 0.12)
        at = (
            rng.uniform(x0, x1),
            rng.uniform(y0, y1),
            z + size[2] / 2 + rng.choice((0.0, 0.0, 0.25)),
        )
        w.box(size, at, w.paint(colour), Matrix.Rotation(rng.uniform(-0.2, 0.2), 4, "Z"))


def bottles(w: Workbench, area: Area) -> None:
    """Bottles, jars and tins in rows."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    paints = [w.paint(rng.choice((*PRODUCE, *CLOTH)), rough=0.2) for _ in range(3)]
    height, radius = rng.uniform(0.12, 0.3), rng.uniform(0.03, 0.06)
    for i in range(min(int((x1 - x0) / (2.4 * radius)), 8)):
        for k in range(min(int((y1 - y0) / (2.6 * radius)), 6)):
            at = (x0 + (2 * i + 1) * 1.2 * radius, y0 + (2 * k + 1) * 1.3 * radius, z + height / 2)
            w.cone(radius, radius * rng.uniform(0.5, 1.0), height, at, rng.choice(paints), sides=8)


def pots(w: Workbench, area: Area) -> None:
    """Steamers, pots and a stove: a snack stall."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    steel, bamboo = w.paint(METAL[2], rough=0.3, metal=0.8), w.paint(WOOD[1], pattern="stripes")
    for _ in range(rng.randint(1, 3)):
        radius, at = rng.uniform(0.15, 0.28), (rng.uniform(x0, x1), rng.uniform(y0, y1))
        for k in range(rng.randint(1, 5)):
            w.cone(radius, radius, 0.11, (*at, z + 0.06 + 0.12 * k), rng.choice((steel, bamboo)))


def parcels(w: Workbench, area: Area) -> None:
    """Small flat things side by side: books, covers, toys, trinkets."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    paints = [w.paint(rng.choice((*CLOTH, *PRODUCE)), rough=0.4) for _ in range(5)]
    for _ in range(rng.randint(20, 60)):
        size = (rng.uniform(0.06, 0.2), rng.uniform(0.06, 0.25), rng.uniform(0.02, 0.12))
        turn = Matrix.Rotation(rng.uniform(-0.5, 0.5), 4, "Z")
        w.box(size, (rng.uniform(x0, x1), rng.uniform(y0, y1), z + size[2] / 2), rng.choice(paints), turn)


KINDS: tuple[Callable[[Workbench, Area], None], ...] = (heap, heap, heap, cartons, bottles, pots, parcels)


def hanging(w: Workbench, start: Point, end: Point) -> None:
    """Clothes or bags along a bar."""
    rng = w.rng
    count = rng.randint(8, 20)
    for k in range(count):
        t = (k + 0.5) / count
        x, y, z = (a + (b - a) * t for a, b in zip(start, end, strict=True))
        size = (rng.uniform(0.03, 0.07), rng.uniform(0.3, 0.5), rng.uniform(0.4, 1.0))
        paint = w.paint(rng.choice(CLOTH), pattern=rng.choice(("", "", "stripes", "noise")))
        w.box(size, (x, y, z - size[2] / 2), paint, Matrix.Rotation(rng.uniform(-0.3, 0.3), 4, "Z"))


def person(w: Workbench, at: tuple[float, float], *, seated: bool = False) -> None:
    """A person of simple shapes, standing or on a stool, facing anywhere."""
    rng = w.rng
    tall = rng.uniform(1.5, 1.8)
    hip = 0.45 if seated else tall * 0.48
    skin, shirt, trousers = (
        w.paint(rng.choice(SKIN)),
        w.paint(rng.choice(CLOTH), pattern=rng.choice(("", "noise"))),
        w.paint(rng.choice(METAL)),
    )
    x, y = at
    face = rng.uniform(0, 2 * math.pi)
    fx, fy = math.cos(face), math.sin(face)
    for side in (-0.1, 0.1):
        px, py = x - side * fy, y + side * fx
        knee = (px + 0.4 * fx, py + 0.4 * fy, hip) if seated else (px + 0.03 * fx, py + 0.03 * fy, hip / 2)
        w.rod((px, py, hip), knee, 0.075, trousers)
        w.rod(knee, (knee[0], knee[1], 0.03), 0.06, trousers)
        hand = (px + 0.3 * fx, py + 0.3 * fy, hip + rng.uniform(0.0, 0.35))
        w.rod((px - side * 1.2 * fy, py + side * 1.2 * fx, hip + 0.5), hand, 0.045, rng.choice((shirt, skin)))
    w.cone(0.15, 0.2, 0.5, (x, y, hip + 0.27), shirt, sides=12)
    w.ball((0.2, 0.2, 0.1), (x, y, hip + 0.52), shirt)
    w.ball((0.09, 0.09, 0.12), (x, y, hip + 0.72), skin)
    if rng.random() < 0.4:
        w.cone(0.2, 0.08, 0.1, (x, y, hip + 0.84), w.paint(rng.choice((*WOOD, *CLOTH))))
    else:
        w.ball((0.105, 0.105, 0.09), (x, y, hip + 0.78), w.paint((0.01, 0.01, 0.01)))


def _crate(w: Workbench, area: Area, height: float) -> None:
    x0, x1, y0, y1, z = area
    paint: Any = w.paint(w.rng.choice((*WOOD, *CLOTH)))
    for x in (x0, x1):
        w.box((0.02, y1 - y0, height), (x, (y0 + y1) / 2, z + height / 2), paint)
    for y in (y0, y1):
        w.box((x1 - x0, 0.02, height), ((x0 + x1) / 2, y, z + height / 2), paint)
