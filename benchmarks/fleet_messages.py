"""From a district to the lines that a dispatcher reads: the fleet's frames through the real tracker and geotag.

Sent       a sighting when its thing has left the view, a pass at its end, both under the clock of the frame that
           caused it.
Arrives    seconds later; one trip in ten has no network and is told up to two hours late. One line in a hundred
           comes again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import vision
from benchmarks.fleet_areas import communities, dumps, owner_of
from benchmarks.fleet_drive import TRIPS_A_DAY, Trip, fixes, frames, trips
from benchmarks.fleet_reports import RECALL, Presences, Reported, Scores, cameras_of, reports, scores
from benchmarks.fleet_world import ORIGIN, START, District, Thing, district, latlon
from ingest.frame import Frame, rfc3339
from models.taxonomy import Taxonomy
from vision.sighting import Evidence, Pass, Sighting, enveloped
from vision.stretch import Context, Stretch
from vision.track import Track

MODEL = "simulated@sha256:0"
LATE = 0.1  # of the trips
REPEATED = 0.01  # of the lines
VISION = ("stretch.py", "track.py", "geotag.py", "camera.py", "look.py", "sighting.py")
PILOTS = 40  # trips from which the calibration of a world's scores is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One line, when it arrives, and of a sighting what it is of."""

    arrives: datetime
    line: str
    sighting: Sighting | None = None  # None: a pass, or a line that comes again
    truth: str | None = None  # label of the presence most of its frames showed; None for a stray detection


class Watched(Stretch):
    """The shipped stretch, which also remembers of each sighting which boxes it was made of."""

    made: dict[str, list[tuple[str, tuple[float, float, float, float]]]]

    def _send(self, track: Track) -> list[Sighting]:
        sent = super()._send(track)
        for sighting in sent:
            self.made[sighting.id] = [(spot.frame.id, spot.box_xyxy) for spot in track.spots]
        return sent


def evidence(frame: Frame, box_xyxy: tuple[float, float, float, float]) -> Evidence:
    """No picture: there is none."""
    x1, y1, x2, y2 = (round(v) for v in box_xyxy)
    return Evidence(uri=None, sha256=None, box_xyxy=(x1, y1, x2, y2), missing="simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a world is. The defaults are the benchmark's."""

    days: float = 3.0
    bins: int = 400
    disorders: int = 200
    posters: int = 6
    vehicles: int = 60
    trips_a_day: float = TRIPS_A_DAY
    calibrated: bool = True
    quarter: str = ""  # of the district: "ne", "nw", "se" or "sw"; the frames of the rest are left out


@cache
def _world(seed: int, size: Size) -> tuple[District, Presences, list[Trip], Scores]:
    """A district and its trips: made once in each process."""
    place = district(seed, days=size.days, bins=size.bins, disorders=size.disorders, posters=size.posters)
    known = Presences.of(place)
    driven = trips(place, vehicles=size.vehicles, trips_a_day=size.trips_a_day)
    some = driven[:: max(1, len(driven) // PILOTS)]
    return place, known, driven, scores(place, known, some) if size.calibrated else Scores.uncalibrated()


def drive(seed: int, size: Size, number: int) -> list[Message]:
    """The messages of one trip."""
    place, known, driven, spread = _world(seed, size)
    trip = driven[number]
    dice = np.random.default_rng([place.seed, 6, number])
    along = fixes(dice, trip)
    taxonomy = Taxonomy.read()
    delay_s = float(dice.uniform(60, 7200)) if dice.random() < LATE else 0.0
    reconnected = START + timedelta(hours=float(trip.hours[0]), seconds=delay_s) if delay_s else START
    out = []
    for name, camera in cameras_of(trip).items():
        seen = reports(dice, place, known, trip, camera, spread)
        context = Context(camera=camera, taxonomy=taxonomy, model=MODEL, recall=RECALL, picture=evidence)
        kept = [pair for pair in zip(frames(trip, name, along), seen, strict=True) if _within(size.quarter, pair[0])]
        for made_at, item, label in _stretches(context, [f for f, _ in kept], [r for _, r in kept], known):
            arrives = max(made_at, reconnected) + timedelta(seconds=float(dice.exponential(4.0)) + 0.2)
            line = enveloped(item, made_at=made_at).dumps()
            sighting = item if isinstance(item, Sighting) else None
            out.append(Message(arrives=arrives, line=line, sighting=sighting, truth=label))
    again = [m for m in out if dice.random() < REPEATED]
    later = [timedelta(seconds=float(dice.uniform(1, 7200))) for _ in again]
    return out + [Message(arrives=m.arrives + wait, line=m.line) for m, wait in zip(again, later, strict=True)]


def _within(quarter: str, frame: Frame) -> bool:
    north, east = frame.fix.lat > ORIGIN[0], frame.fix.lon > ORIGIN[1]
    return quarter in ("", ("n" if north else "s") + ("e" if east else "w"))


def _stretches(
    context: Context, along: list[Frame], seen: list[list[Reported]], known: Presences
) -> Iterable[tuple[datetime, Sighting | Pass, str | None]]:
    """What the vision side sends of one camera's frames, when, and what it is of."""
    presence = {(f.id, r.found.box_xyxy): r.presence for f, rs in zip(along, seen, strict=True) for r in rs}
    open_: Watched | None = None
    for frame, reported in zip(along, seen, strict=True):
        if open_ is not None and open_.ends_before(frame):
            yield from _told(open_.last, open_.close(), open_, presence, known)
            open_ = None
        if open_ is None:
            open_ = Watched(context, frame)
            open_.made = {}
        yield from _told(frame, open_.see(frame, [r.found for r in reported]), open_, presence, known)
    if open_ is not None:
        yield from _told(open_.last, open_.close(), open_, presence, known)


def _told(
    frame: Frame, items: Iterable[Sighting | Pass], stretch: Watched, presence: dict[Any, int], known: Presences
) -> Iterable[tuple[datetime, Sighting | Pass, str | None]]:
    for item in items:
        label = None
        if isinstance(item, Sighting):
            of = [presence[key] for key in stretch.made[item.id]]
            most = max(sorted(set(of)), key=of.count)
            label = _label(known, most, item.kind)
        yield frame.time, item, label


def _label(known: Presences, presence: int, kind: str) -> str | None:
    """What a sighting of a kind is of: a bin that passes for overflowing is `<bin>/mistaken`."""
    if presence < 0:
        return None
    thing = known.thing[presence]
    if thing.startswith("bin-"):
        if kind == "garbage_bin":
            return thing
        return known.label[presence] if known.kind[presence] == "overflow_bin" else f"{thing}/mistaken"
    return known.label[presence]


def build(seed: int, size: Size | None = None, *, processes: int = 2) -> tuple[list[Message], dict[str, Any], str]:
    """(messages in order of arrival, truth, areas as GeoJSON) of a world."""
    size = Size() if size is None else size
    place, _, driven, _ = _world(seed, size)
    work = partial(drive, seed, size)
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(work, range(len(driven)), chunksize=8))
    else:
        parts = list(map(work, range(len(driven))))
    messages = sorted((m for part in parts for m in part), key=lambda m: (m.arrives, m.line))
    faces = communities(place)
    hidden = truth(place, faces, messages) | {"made_from": made_from(seed, size)}
    return messages, hidden, dumps(faces)


def truth(place: District, faces: Mapping[str, Any], messages: Iterable[Message]) -> dict[str, Any]:
    """What is hidden from the dispatcher: every thing and episode, and what each sighting is of."""
    sightings = {
        m.sighting.id: {
            "of": m.truth,
            "pass": m.sighting.pass_id,
            "kind": m.sighting.kind,
            "at": rfc3339(m.sighting.seen_at),
        }
        for m in messages
        if m.sighting is not None
    }
    span = {"starts_at": _time(0.0), "ends_at": _time(place.hours)}
    things = [_thing(thing, faces) for thing in place.things]
    return {"seed": place.seed, **span, "things": things, "sightings": sightings}


def _thing(thing: Thing, faces: Mapping[str, Any]) -> dict[str, Any]:
    lat, lon = latlon(thing.enu)
    area, border_m = owner_of(faces, thing.enu)
    episodes = [
        {"id": e.id, "kind": e.kind, "born_at": _time(e.born_h), "removed_at": _time(e.removed_h)}
        for e in thing.episodes
    ]
    return {
        "id": thing.id,
        "kind": thing.kind,
        "lat": round(lat, 8),
        "lon": round(lon, 8),
        "bin": thing.kind == "garbage_bin",
        "poster": thing.poster,
        "level": thing.level,
        "area": area,
        "border_m": round(border_m, 2),
        "episodes": episodes,
    }


def _time(hours: float) -> str:
    return rfc3339(START + timedelta(hours=hours))


def made_from(seed: int, size: Size) -> str:
    """A hash of all that a world follows from: its seed and size, the simulator, and the vision that ships."""
    parts = [repr((seed, size)).encode()]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("fleet_[adrmw]*.py"))]
    parts += [(Path(vision.__path__[0]) / name).read_bytes() for name in VISION]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def write(folder: Path, messages: list[Message], hidden: dict[str, Any], areas: str) -> None:
    """world.jsonl, truth.json and areas.geojson in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "world.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{m.line}\n" for m in messages)
    (folder / "truth.json").write_text(json.dumps(hidden), encoding="utf-8")
    (folder / "areas.geojson").write_text(areas, encoding="utf-8")
