"""What is seen in the outbox benchmark, in which areas, and what must be told of it. Seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from benchmarks.street import collection
from dispatcher.area import parse_areas
from dispatcher.engine import Engine
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from vision.sighting import Evidence, Sighting

APART_M, SQUARE_M = 60.0, 600.0  # between things, and along a side of a community
ORIGIN = (22.50, 113.90)
DISTRICTS = ("440303", "440304", "440305", "440306")
Told = tuple[str, str, str]  # case, event, recipient


@dataclass(frozen=True, slots=True)
class World:
    """What is seen, in which areas, and what must be told of it."""

    areas: str  # GeoJSON
    sightings: list[Sighting]
    told: frozenset[Told]


def world(events: int, seed: int) -> World:
    """So many things, each seen once, in an order that the seed decides."""
    text = collection({code: (name, ring) for code, name, ring in _communities(events)}, ORIGIN)
    areas, _ = parse_areas(text, "the benchmark's areas")
    rng = random.Random(f"outbox-{seed}")
    seen = [_sighting(n, spot, rng) for n, spot in enumerate(_spots(events))]
    rng.shuffle(seen)
    start = datetime(2026, 11, 20, 1, tzinfo=UTC)
    seen = [replace(sighting, seen_at=start + timedelta(seconds=n)) for n, sighting in enumerate(seen)]
    engine = Engine(areas, Taxonomy.read())
    told: set[Told] = set()
    for sighting in seen:
        for event in engine.read(sighting, made_at=sighting.seen_at):
            told |= {(event.case.id, event.event, recipient) for recipient in event.recipients}
    return World(text, seen, frozenset(told))


def _side(events: int) -> int:
    """Communities along a side of the square that holds so many things."""
    side = 2
    while (side * SQUARE_M / APART_M) ** 2 < events:
        side += 1
    return side


def _communities(events: int) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    side = _side(events)
    for n in range(side * side):
        row, column = divmod(n, side)
        west, south = column * SQUARE_M, row * SQUARE_M
        east, north = west + SQUARE_M, south + SQUARE_M
        code = f"{DISTRICTS[n % len(DISTRICTS)]}{1 + n // len(DISTRICTS):03d}001"
        yield code, f"{row + 1}-{column + 1}社区", [(west, south), (east, south), (east, north), (west, north)]


def _spots(events: int) -> list[tuple[float, float]]:
    """Every tenth row and column lies a metre from a border, where two offices are told."""
    across = round(_side(events) * SQUARE_M / APART_M)
    return [(1.0 + APART_M * (n % across), 1.0 + APART_M * (n // across)) for n in range(events)]


def _sighting(n: int, spot: tuple[float, float], rng: random.Random) -> Sighting:
    lat, lon = latlon_from_offset(*ORIGIN, *(coordinate + rng.uniform(-0.5, 0.5) for coordinate in spot))
    return Sighting(
        id=f"outbox-{n}",
        pass_id=f"pass-{n}",
        vehicle=f"bus-{n % 100}",
        camera="right",
        kind="overflow_bin",
        matter="06042",
        confidence=0.95,
        seen_at=datetime(2026, 11, 20, tzinfo=UTC),
        lat=lat,
        lon=lon,
        covariance_m2=(2.0, 0.0, 2.0),
        shared_covariance_m2=(1.0, 0.0, 1.0),
        frames=5,
        model="outbox",
        evidence=Evidence(uri=None, sha256=None, box_xyxy=None, missing="not-recorded: a benchmark"),
    )
