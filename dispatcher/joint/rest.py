"""Rest: what lies where nobody has looked for a day is put on the shelf, and fetched before somebody looks there.

Memory then holds the streets that vehicles drive, however many cases a city has. When things rest goes by the clock of
the envelopes, so that the same lines give the same cases.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from dispatcher.case import Case
from dispatcher.joint.atlas import Atlas
from dispatcher.joint.docket import Docket
from dispatcher.joint.grid import ROW, STEP_DEG, STEP_M
from dispatcher.joint.packing import located_at_rest, packed, placed_at_rest, unpacked
from dispatcher.joint.seen import Seen
from dispatcher.joint.shelf import Parcel, Shelf
from dispatcher.joint.shown import case_of
from dispatcher.joint.thing import Located, Thing
from dispatcher.joint.view import View

HOUR: Final = 3600.0
RESTS: Final = timedelta(hours=24)  # since somebody looked there last: longer than until runs are worked out again
SWEEP_S: Final = 6 * HOUR  # how often it is looked for what may rest
LATE_S: Final = 72 * HOUR  # a pass is forgotten so long after its end: what comes later yet is judged without it
AROUND_M: Final = 150.0  # what a sighting may change lies within; twice as far as identity reaches, and the map's drift
SIDE: Final = 4  # squares of the grid along a block: blocks, some 200 m across, rest and wake as a whole


class Rest:
    """The shelf, and which blocks are awake."""

    def __init__(self, atlas: Atlas, docket: Docket, seen: dict[str, Seen], after: timedelta) -> None:
        self.shelf = Shelf()
        self._atlas = atlas
        self._docket = docket
        self._seen = seen  # by id; what rests is not in it
        self._awake: dict[int, float] = {}  # blocks, and when somebody looked there last
        self._swept = 0.0
        self._after_s = after.total_seconds()
        docket.rests = self._rests

    def state(self) -> list[Any]:
        """Which blocks are awake, and when it was last looked for what may rest."""
        return [list(self._awake.items()), self._swept]

    def recall(self, state: list[Any]) -> None:
        """Know again what `state` told."""
        awake, self._swept = state
        self._awake = dict(awake)

    def lay(self, bodies: Iterable[str]) -> None:
        """Lay things on the shelf that were packed by another engine."""
        self.shelf.put([parcel_again(body) for body in bodies], ())
        self.shelf.moved_since()

    # Fetching

    def looked_at(self, lat: float, lon: float, now: float) -> None:
        """Somebody looks at a point: what rests about it is needed. `now`: seconds since 1970, of the envelopes."""
        self._wake(blocks_near(lat, lon, AROUND_M), now)

    def looked_into(self, view: View, now: float) -> None:
        """The same, of all that a pass saw."""
        blocks: dict[int, None] = {}
        for square in view.squares:
            row, column = divmod(square + ROW // 2, ROW)  # columns west of Greenwich are negative
            lat, lon = (row + 0.5) * STEP_DEG, (column - ROW // 2 + 0.5) * STEP_DEG
            blocks |= dict.fromkeys(blocks_near(lat, lon, AROUND_M + STEP_M))
        self._wake(list(blocks), now)

    def _wake(self, blocks: list[int], now: float) -> None:
        asleep = [block for block in blocks if block not in self._awake]
        for block in blocks:
            self._awake[block] = now
        if asleep:
            self._fetch(self.shelf.take(asleep))

    def fetch_case(self, id: str, now: float) -> None:
        """Somebody asks for a case."""
        self._fetch_thing(self.shelf.thing_of_case(id), now)

    def _rests(self, case: str) -> bool:
        return bool(self.shelf) and self.shelf.thing_of_case(case) is not None

    def fetch_sighting(self, id: str, now: float) -> None:
        """Somebody asks for a sighting."""
        self._fetch_thing(self.shelf.thing_of_sighting(id), now)

    def _fetch_thing(self, number: int | None, now: float) -> None:
        if number is None:
            return
        for thing in self._fetch(self.shelf.take_thing(number)):
            self.looked_at(thing.lat, thing.lon, now)

    def _fetch(self, bodies: Iterable[str]) -> list[Thing]:
        things = [unpacked(body) for body in bodies]
        for thing in things:
            self._atlas.bring(thing)
            for record in thing.records:
                self._docket.records[record.id] = record
            for seen in thing.seens:
                self._seen[seen.sighting.id] = seen
        return things

    # Putting away

    def sweep(self, now: float, others: dict[str, float]) -> None:
        """Put away what may rest, now and then. `others`: ids of passes and commands, and when they were read."""
        if now - self._swept < SWEEP_S:
            return
        self._swept, before = now, now - self._after_s
        self._awake = {block: at for block, at in self._awake.items() if at >= before}
        entangled, due = self._entangled(), self._atlas.due()
        resting = [
            thing
            for thing in self._atlas.things.values()
            if block_of(thing.lat, thing.lon) not in self._awake and thing.number not in entangled
            if due.isdisjoint(thing.runs)
        ]
        forgotten = [id for id, at in others.items() if at < before]
        for id in forgotten:
            del others[id]
        self.shelf.put([self._parcel(thing) for thing in resting], forgotten)
        for thing in resting:
            for record in thing.records:
                del self._docket.records[record.id]
            for seen in thing.seens:
                del self._seen[seen.sighting.id]
        self._atlas.let_go(resting, before)
        self._atlas.views.forget(now - LATE_S)

    def _entangled(self) -> set[int]:
        """Things by number that share a case with others: it was told of sightings that turned out to be of those."""
        found: set[int] = set()
        for thing in self._atlas.things.values():
            for record in thing.records:
                if record.thing is not thing or record.id not in self._docket.records:  # until it is reviewed again
                    found.add(thing.number)
        for record in self._docket.records.values():
            for held in (record.seens, record.last_seens, list(record.heard.values())):
                for seen in held:
                    if seen.thing is not record.thing:
                        found |= {thing.number for thing in (seen.thing, record.thing) if thing is not None}
        return found

    def _parcel(self, thing: Thing) -> Parcel:
        return Parcel(
            number=thing.number,
            block=block_of(thing.lat, thing.lon),
            sightings=[seen.sighting.id for seen in thing.seens],
            cases=[record.id for record in thing.records],
            body=packed(thing, self._atlas.surveyed(thing) if thing.plain else None, self._docket.placed),
        )

    # What rests

    def cases(self) -> list[Case]:
        """The cases that rest, as they stood when they were put away."""
        found = []
        for body in self.shelf.all():
            for record, placed in placed_at_rest(body):
                record.lat, record.lon, record.covariance, record.owners = placed
                found.append(case_of(record))
        return found

    def objects(self) -> list[tuple[Thing, Located]]:
        """The objects that rest, and where they were then."""
        return [found for body in self.shelf.all() if (found := located_at_rest(body)) is not None]


def parcel_again(body: str) -> Parcel:
    """As a thing was put away, by what was packed."""
    row = json.loads(body)
    thing, seens, cases = row[0], row[1], row[6]
    return Parcel(
        number=thing[1],
        block=block_of(thing[7], thing[8]),
        sightings=[seen[0][0] for seen in seens],
        cases=[case[0] for case in cases],
        body=body,
    )


def block_of(lat: float, lon: float) -> int:
    """The block a point lies in, as one number."""
    return math.floor(lat / STEP_DEG / SIDE) * ROW + math.floor(lon / STEP_DEG / SIDE)


def blocks_near(lat: float, lon: float, reach_m: float) -> list[int]:
    """The blocks that come within reach of a point."""
    row, column = lat / STEP_DEG / SIDE, lon / STEP_DEG / SIDE
    up = reach_m / STEP_M / SIDE
    side = up / max(0.05, math.cos(math.radians(lat)))
    columns = range(math.floor(column - side), math.floor(column + side) + 1)
    return [r * ROW + c for r in range(math.floor(row - up), math.floor(row + up) + 1) for c in columns]
