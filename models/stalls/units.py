"""Units: whole stalls, and things that look like one and are none. Needs `bpy`, see shapes.py.

Sizes are those of the street: a hand cart's bed is 0.8 m high and 1.5 to 2.4 m long, a cargo tricycle 2.5 to 3 m, a
folding table 0.7 m high, a vendor's umbrella 2 to 3 m wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mathutils import Matrix

from models.stalls.goods import Area, covered, hanging, person
from models.stalls.shapes import CLOTH, METAL, WOOD, Workbench, mesh_of


def cart(w: Workbench) -> None:
    """A hand cart with goods, often under a roof."""
    rng = w.rng
    area = _cart_bed(w)
    covered(w, area)
    if rng.random() < 0.55:
        _roof(w, area)
    elif rng.random() < 0.4:
        umbrella(w, (rng.uniform(area[0], area[1]), area[2], 0.0))


def tricycle(w: Workbench) -> None:
    """A cargo tricycle that sells from its bed."""
    area = _tricycle(w)
    covered(w, area)
    if w.rng.random() < 0.35:
        _roof(w, area)
    elif w.rng.random() < 0.4:
        umbrella(w, (area[0], area[3], 0.0))


def table(w: Workbench) -> None:
    """One to three tables, cloth, goods, perhaps an umbrella or a tent."""
    rng = w.rng
    count, length, depth, high = rng.randint(1, 3), rng.uniform(0.9, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.55, 0.8)
    top, leg = w.paint(rng.choice((*WOOD, *CLOTH)), pattern=rng.choice(("", "noise"))), w.paint(METAL[2], metal=0.7)
    whole = count * length
    for k in range(count):
        x = -whole / 2 + (k + 0.5) * length
        w.box((length - 0.04, depth, 0.04), (x, 0, high - 0.02), top)
        for sx in (-0.45, 0.45):
            for sy in (-0.45, 0.45):
                w.rod((x + sx * length, sy * depth, 0), (x + sx * length, sy * depth, high), 0.02, leg)
        if rng.random() < 0.5:
            w.box((length - 0.02, 0.02, high * rng.uniform(0.5, 0.95)), (x, -depth / 2, high * 0.6), top)
        covered(w, (x - length / 2 + 0.05, x + length / 2 - 0.05, -depth / 2 + 0.05, depth / 2 - 0.05, high))
    if rng.random() < 0.4:
        umbrella(w, (rng.uniform(-whole / 2, whole / 2), depth / 2 + 0.2, 0.0))
    elif rng.random() < 0.45:
        _roof(w, (-whole / 2, whole / 2, -depth / 2, depth / 2 + 0.6, 0.0), posts_from=0.0)


def rack(w: Workbench) -> None:
    """Clothes on one or two bars."""
    rng = w.rng
    length, high, steel = rng.uniform(1.2, 2.6), rng.uniform(1.4, 1.9), w.paint(METAL[2], metal=0.8, rough=0.3)
    for y in (0.0, 0.7)[: rng.randint(1, 2)]:
        a, b = (-length / 2, y, high), (length / 2, y, high)
        w.rod(a, b, 0.02, steel)
        for x in (a[0], b[0]):
            w.rod((x, y - 0.25, 0.0), (x, y, high), 0.02, steel)
            w.rod((x, y + 0.25, 0.0), (x, y, high), 0.02, steel)
        hanging(w, a, b)
    if rng.random() < 0.3:
        _roof(w, (-length / 2, length / 2, -0.3, 1.0, 0.0), posts_from=0.0)


def ground(w: Workbench) -> None:
    """A sheet on the ground with goods on it; perhaps an umbrella."""
    rng = w.rng
    length, depth = rng.uniform(1.2, 3.0), rng.uniform(0.8, 1.6)
    w.box((length, depth, 0.02), (0, 0, 0.01), w.paint(rng.choice(CLOTH), pattern=rng.choice(("", "stripes", "noise"))))
    for row in (-0.25, 0.25):
        y = row * depth
        covered(w, (-length / 2 + 0.1, length / 2 - 0.1, y - depth / 5, y + depth / 5, 0.02))
    if rng.random() < 0.35:
        umbrella(w, (0.0, depth / 2, 0.0))


def booth(w: Workbench) -> None:
    """A snack cart: a body with a sign, glass above it, a roof."""
    rng = w.rng
    length, depth, high = rng.uniform(1.2, 2.2), rng.uniform(0.6, 1.0), rng.uniform(0.75, 0.95)
    body = w.paint(rng.choice((*CLOTH, (0.6, 0.6, 0.6))), rough=0.35)
    sign = w.paint(rng.choice(((0.7, 0.02, 0.02), (0.8, 0.5, 0.02))), pattern="stripes")
    glass, rubber, steel = w.paint((0.5, 0.6, 0.65), rough=0.1), w.paint((0.02, 0.02, 0.02)), w.paint(METAL[2])
    foot = rng.uniform(0.15, 0.3)
    w.box((length, depth, high - foot), (0, 0, (high + foot) / 2), body)
    w.box((length * 0.9, 0.02, (high - foot) * 0.5), (0, -depth / 2 - 0.01, (high + foot) / 2), sign)
    for x in (-0.35 * length, 0.35 * length):
        for y in (-depth / 2, depth / 2):
            w.wheel(foot + 0.02, (x, y, foot + 0.02), rubber, steel)
    area = (-length / 2 + 0.05, length / 2 - 0.05, -depth / 2 + 0.05, depth / 2 - 0.05, high)
    covered(w, area)
    if rng.random() < 0.5:
        w.box((length * 0.9, 0.02, 0.35), (0, depth / 2 - 0.03, high + 0.2), glass)
    _roof(w, area)
    if rng.random() < 0.6:
        w.box((length, 0.03, 0.3), (0, -depth / 2 - 0.05, high + 1.15), sign)


def empty_tricycle(w: Workbench) -> None:
    """A cargo tricycle with nothing on it."""
    _tricycle(w)


def empty_cart(w: Workbench) -> None:
    """A flat cart with nothing on it."""
    _cart_bed(w)


def bus_stop(w: Workbench) -> None:
    """A shelter: posts, roof, a lit panel, a bench."""
    rng = w.rng
    length, high, steel = rng.uniform(3.0, 5.0), rng.uniform(2.3, 2.8), w.paint(METAL[2], metal=0.6, rough=0.3)
    for x in (-0.45 * length, 0.0, 0.45 * length):
        w.rod((x, 0.5, 0.0), (x, 0.5, high), 0.05, steel)
    w.box((length, 1.3, 0.1), (0, 0.1, high), w.paint(rng.choice((*CLOTH, METAL[2])), rough=0.4))
    w.box((1.4, 0.12, 1.7), (rng.choice((-0.3, 0.3)) * length, 0.5, 1.2), w.paint(rng.choice(CLOTH), pattern="noise"))
    w.box((1.5, 0.35, 0.06), (0, 0.3, 0.45), steel)


def cafe_umbrella(w: Workbench) -> None:
    """An umbrella over a bare table and chairs."""
    rng = w.rng
    umbrella(w, (0.0, 0.0, 0.0))
    top = w.paint(rng.choice((*WOOD, (0.6, 0.6, 0.6))))
    w.cone(0.4, 0.4, 0.03, (0, 0, 0.72), top)
    for k in range(rng.randint(2, 4)):
        x, y = 0.75 * math.cos(1.6 * k + 0.4), 0.75 * math.sin(1.6 * k + 0.4)
        w.box((0.42, 0.42, 0.04), (x, y, 0.45), top)
        w.box((0.42, 0.04, 0.4), (x, y + math.copysign(0.2, y), 0.67), top)
        for sx in (-0.18, 0.18):
            for sy in (-0.18, 0.18):
                w.rod((x + sx, y + sy, 0), (x + sx, y + sy, 0.45), 0.015, top)


def passers(w: Workbench) -> None:
    """One to three people, and nothing for sale."""
    for k in range(w.rng.randint(1, 3)):
        person(w, (0.6 * k, w.rng.uniform(-0.3, 0.3)))


STALLS: dict[str, Callable[[Workbench], None]] = {
    "cart": cart,
    "tricycle": tricycle,
    "table": table,
    "rack": rack,
    "ground": ground,
    "booth": booth,
}
OTHERS: dict[str, Callable[[Workbench], None]] = {
    "empty_tricycle": empty_tricycle,
    "empty_cart": empty_cart,
    "bus_stop": bus_stop,
    "cafe_umbrella": cafe_umbrella,
    "passers": passers,
}


def umbrella(w: Workbench, foot: tuple[float, float, float]) -> None:
    """A vendor's umbrella, often of two colours, a little aslant."""
    rng = w.rng
    radius, high, drop, sides = rng.uniform(0.9, 1.5), rng.uniform(2.0, 2.6), rng.uniform(0.3, 0.55), 8
    x, y, z = foot
    lean = rng.uniform(-0.15, 0.15)
    w.rod((x, y, z), (x + lean, y, high), 0.02, w.paint(METAL[2], metal=0.8))
    paints = [w.paint(rng.choice(CLOTH)) for _ in range(rng.randint(1, 2))]
    for k in range(sides):
        a, b = 2 * math.pi * k / sides, 2 * math.pi * (k + 1) / sides
        rim = [(radius * math.cos(t), radius * math.sin(t), -drop) for t in (a, b)]
        hem = [(p[0], p[1], p[2] - 0.12) for p in rim]
        mesh = mesh_of([(0.0, 0.0, 0.0), *rim, *hem], [(0, 1, 2), (1, 3, 4, 2)])
        w.add(mesh, paints[k % len(paints)], (x + lean, y, high))


def _roof(w: Workbench, area: Area, *, posts_from: float | None = None) -> None:
    """A canopy on four posts above an area."""
    rng = w.rng
    x0, x1, y0, y1, z = area
    high, over, slope = rng.uniform(1.9, 2.4), rng.uniform(0.05, 0.35), rng.uniform(-0.15, 0.15)
    post = w.paint(rng.choice((*METAL, *WOOD)))
    for x in (x0, x1):
        for y in (y0, y1):
            w.rod((x, y, z if posts_from is None else posts_from), (x, y, high), 0.02, post)
    cloth = w.paint(rng.choice(CLOTH), pattern=rng.choice(("", "", "stripes", "noise")))
    turn = Matrix.Rotation(slope, 4, "X")
    size = (x1 - x0 + 2 * over, y1 - y0 + 2 * over, 0.03)
    at = ((x0 + x1) / 2, (y0 + y1) / 2, high)
    w.box(size, at, cloth, turn)
    if rng.random() < 0.6:
        w.box((size[0], 0.02, rng.uniform(0.12, 0.3)), (at[0], y0 - over, high - 0.1), cloth, turn)
    if rng.random() < 0.25 and posts_from is None:
        w.box((x1 - x0, 0.02, high - z - 0.1), (at[0], y1, (z + high) / 2), cloth)


def _cart_bed(w: Workbench) -> Area:
    rng = w.rng
    length, depth, high = rng.uniform(1.4, 2.4), rng.uniform(0.8, 1.2), rng.uniform(0.7, 0.95)
    wood, rubber, steel = w.paint(rng.choice(WOOD), pattern="noise"), w.paint((0.02, 0.02, 0.02)), w.paint(METAL[2])
    w.box((length, depth, 0.06), (0, 0, high - 0.03), wood)
    for y in (-depth / 2, depth / 2):
        w.box((length, 0.03, 0.12), (0, y, high + 0.02), wood)
    radius = rng.uniform(0.22, 0.36)
    for x in (-0.33 * length, 0.33 * length) if rng.random() < 0.7 else (0.0,):
        for y in (-depth / 2 + 0.05, depth / 2 - 0.05):
            w.wheel(radius, (x, y, radius), rubber, steel)
        w.rod((x, -depth / 2, radius), (x, depth / 2, radius), 0.02, steel)
        w.box((0.06, depth * 0.8, high - radius), (x, 0, (high + radius) / 2), wood)
    for y in (-0.35 * depth, 0.35 * depth):
        w.rod((length / 2, y, high), (length / 2 + 0.5, y, high + 0.1), 0.02, wood)
    return (-length / 2 + 0.05, length / 2 - 0.05, -depth / 2 + 0.06, depth / 2 - 0.06, high)


def _tricycle(w: Workbench) -> Area:
    """Bed, saddle, handlebar, three wheels."""
    rng = w.rng
    length, depth, high = rng.uniform(1.2, 1.7), rng.uniform(0.8, 1.1), rng.uniform(0.6, 0.75)
    frame, rubber, steel = w.paint(rng.choice(METAL)), w.paint((0.02, 0.02, 0.02)), w.paint(METAL[2], metal=0.6)
    w.box((length, depth, 0.05), (0, 0, high), frame)
    side = rng.uniform(0.15, 0.3)
    for y in (-depth / 2, depth / 2):
        w.box((length, 0.03, side), (0, y, high + side / 2), frame)
        w.wheel(0.3, (-0.1, y * 1.1, 0.3), rubber, steel)
    front = length / 2 + 1.0
    w.wheel(0.3, (front, 0, 0.3), rubber, steel)
    w.rod((length / 2, 0, high - 0.1), (front - 0.35, 0, 0.4), 0.03, frame)
    w.rod((front, 0, 0.3), (front - 0.25, 0, 1.0), 0.03, frame)
    w.rod((front - 0.25, -0.3, 1.05), (front - 0.25, 0.3, 1.05), 0.02, steel)
    w.box((0.3, 0.25, 0.1), (length / 2 + 0.25, 0, 0.85), w.paint((0.02, 0.02, 0.02)))
    w.rod((length / 2 + 0.25, 0, 0.4), (length / 2 + 0.25, 0, 0.85), 0.03, frame)
    return (-length / 2 + 0.05, length / 2 - 0.05, -depth / 2 + 0.05, depth / 2 - 0.05, high + 0.03)
