"""How well can positions of a fleet world be known at all? Least squares, when nothing is left to be guessed.

Told which thing each sighting is of, with all lines at hand, and with the covariances that the sightings claim, where
all things are is one linear problem: a sighting is where its thing is, plus its vehicle's error, which is a
Gauss-Markov curve along the way, plus its own. Its solution is the best that any linear estimate can do; what an
engine misses of it is the cost of deciding online and of not knowing what is what.

    python -m benchmarks.fleet --seeds 7 --keep worlds --build-only
    python -m benchmarks.fleet_floor worlds/7 --json
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fleet_score import PASSES, World, of_things
from dispatcher.joint.bias import ALONG_M, OVER_S
from dispatcher.joint.pairs import FLOOR_M2
from dispatcher.joint.seen import Seen
from ingest.envelope import parse_envelope
from ingest.geo import latlon_from_offset, offset_from_latlon
from vision.sighting import SIGHTING_TYPE, parse_sighting

APART_S = 1800.0  # what a vehicle saw so much later has an error of its own
TOGETHER = 160  # sightings whose errors are worked out together

Origin = tuple[float, float]


def main(folders: Sequence[Path], *, json: bool = False) -> dict[str, Any]:
    """Median errors by the passes that saw a thing, over all worlds; one line of JSON to standard output."""
    found = [errors(folder) for folder in folders]
    names = list(found[0])
    pooled = {name: [error for world in found for error in world[name]] for name in names}
    rows = {name: {"n": len(v), "median": round(float(np.median(v)), 3) if v else None} for name, v in pooled.items()}
    result = {
        "benchmark": "fleet_floor",
        "worlds": [folder.name for folder in folders],
        "position_m": rows,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    if not json:
        lines = [f"{name:>6} passes: {row['median']} m, {row['n']} things" for name, row in rows.items()]
        print("\n".join(lines), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def errors(folder: Path) -> dict[str, list[float]]:
    """Metres by which each thing of a world is off, by the passes that saw it (names as in `fleet_score`)."""
    world = World(jsonlib.loads((folder / "truth.json").read_bytes()))
    seens = list(read(folder / "world.jsonl"))
    place = {seen.sighting.id: thing for seen in seens if (thing := _thing(world, seen)) is not None}
    where = solved([seen for seen in seens if seen.sighting.id in place], place)
    by_label: dict[str, list[str]] = defaultdict(list)
    for sighting in place:
        by_label[world.label(sighting)].append(sighting)
    found: dict[str, list[float]] = defaultdict(list)
    for sightings in by_label.values():
        lat, lon = where[place[sightings[0]]]
        entity = world.entity({"sightings": sightings, "lat": lat, "lon": lon}, case=False)
        for name, spread in of_things(world, [entity]).items():
            found[name] += [spread["median"]] * spread["n"]
    return {name: found[name] for name in (_name(span) for span in PASSES)}


def _name(span: tuple[int, int]) -> str:
    low, high = span
    return f"{low}" if low == high else f"{low}+" if high >= 10**9 else f"{low}-{high}"


def _thing(world: World, seen: Seen) -> str | None:
    label = world.label(seen.sighting.id)
    if label in world.episodes:
        return str(world.episodes[label].thing["id"])
    return label if label in world.things else None


def read(path: Path) -> Iterator[Seen]:
    """The sightings of a file, each once, as the engine works with them."""
    known: set[str] = set()
    with path.open("rb") as file:
        for line in file:
            envelope = parse_envelope(line)
            if envelope.type == SIGHTING_TYPE:
                sighting = parse_sighting(envelope.data)
                if sighting.id not in known:
                    known.add(sighting.id)
                    yield Seen.of(sighting, len(known), sighting.kind, 0)


def solved(seens: Sequence[Seen], thing_of: Mapping[str, str]) -> dict[str, Origin]:
    """Where all things are (degrees), by generalised least squares; `thing_of`: by sighting."""
    names = sorted(set(thing_of.values()))
    row = {name: n for n, name in enumerate(names)}
    origin = seens[0].reported
    information = np.eye(2 * len(names)) * 1e-9
    vector = np.zeros(2 * len(names))
    for track in tracks(seens):
        offsets = np.array([offset_from_latlon(*seen.reported, *origin) for seen in track])  # (N, 2) east, north
        weight = np.linalg.inv(covariance(track, offsets))
        at = np.array([2 * row[thing_of[seen.sighting.id]] + axis for seen in track for axis in (0, 1)])
        np.add.at(information, (at[:, None], at[None, :]), weight)
        np.add.at(vector, at, weight @ offsets.ravel())
    east_north = np.linalg.solve(information, vector).reshape(-1, 2)
    return {name: latlon_from_offset(*origin, *offset) for name, offset in zip(names, east_north, strict=True)}


def tracks(seens: Sequence[Seen]) -> Iterator[list[Seen]]:
    """What one vehicle saw while its error was one curve, in pieces that are worked out together."""
    order = sorted(seens, key=lambda seen: (seen.sighting.vehicle, seen.at, seen.sighting.id))
    for _, own in groupby(order, key=lambda seen: seen.sighting.vehicle):
        piece: list[Seen] = []
        for seen in own:
            if piece and seen.at - piece[-1].at > APART_S:
                yield from _cut(piece)
                piece = []
            piece.append(seen)
        yield from _cut(piece)


def _cut(piece: list[Seen]) -> Iterator[list[Seen]]:
    return (piece[start : start + TOGETHER] for start in range(0, len(piece), TOGETHER))


def covariance(track: Sequence[Seen], offsets: np.ndarray) -> np.ndarray:
    """(2N, 2N) m², of the errors of N sightings of one vehicle, which stand at `offsets` (N, 2)."""
    n = len(track)
    apart = np.hypot(*(offsets[:, None] - offsets[None, :]).transpose(2, 0, 1))
    at = np.array([seen.at for seen in track])
    common = np.exp(-apart / ALONG_M - np.abs(at[:, None] - at[None, :]) / OVER_S)
    root = np.array([((a, b), (b, c)) for a, b, c in (seen.root for seen in track)])  # (N, 2, 2)
    shared: np.ndarray = np.einsum("ij,iab,jcb->iajc", common, root, root)
    for i, seen in enumerate(track):
        ee, en, nn = seen.own
        shared[i, :, i, :] += ((ee + FLOOR_M2, en), (en, nn + FLOOR_M2))
    return shared.reshape(2 * n, 2 * n)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="worlds, as `benchmarks.fleet --keep` leaves them")
    parser.add_argument("--json", action="store_true", help="no table")
    args = parser.parse_args(argv)
    main(args.folders, json=args.json)


if __name__ == "__main__":
    command()
