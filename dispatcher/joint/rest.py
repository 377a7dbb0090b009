"""Rest: what lies where nobody has looked for a day is put on the shelf, and fetched before somebody looks there.

Memory then holds the streets that vehicles drive, however many cases a city has. When things rest goes by the clock of
the envelopes, so that the same lines give the same cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from dispatcher.case import Case
from dispatcher.joint.atlas import Atlas
from dispatcher.joint.docket import Docket
from dispatcher.joint.grid import ROW, square_of, squares_near
from dispatcher.joint.packing import located_at_rest, packed, placed_at_rest, unpacked
from dispatcher.joint.seen import Seen
from dispatcher.joint.shelf import Parcel, Shelf
from dispatcher.joint.thing import Located, Thing
from dispatcher.joint.view import View

HOUR: Final = 3600.0
RESTS: Final = timedelta(hours=24)  # since somebody looked there last: longer than until runs are worked out again
SWEEP_S: Final = 6 * HOUR  # how often it is looked for what may rest
LATE_S: Final = 72 * HOUR  # a pass is forgotten so long after its end: what comes later yet is judged without it
AROUND_M: Final = 150.0  # what a sighting may change lies within; twice as far as identity reaches, and the map's drift
BESIDE: Final = 3  # the same for a pass, in squares


class Rest:
    """The shelf, and which squares are awake."""

    def __init__(self, atlas: Atlas, docket: Docket, seen: dict[str, Seen], after: timedelta) -> None:
        self.shelf = Shelf()
        self._atlas = atlas
        self._docket = docket
        self._seen = seen  # by id; what rests is not in it
        self._awake: dict[int, float] = {}  # squares, and when somebody looked there last
        self._swept = 0.0
        self._after_s = after.total_seconds()
        docket.rests = self._rests

    # Fetching

    def looked_at(self, lat: float, lon: float, now: float) -> None:
        """Somebody looks at a point: what rests about it is needed. `now`: seconds since 1970, of the envelopes."""
        self._wake(squares_near(lat, lon, AROUND_M), now)

    def looked_into(self, view: View, now: float) -> None:
        """The same, of all that a pass saw."""
        around = range(-BESIDE, BESIDE + 1)
        self._wake(list(dict.fromkeys([s + r * ROW + c for s in view.squares for r in around for c in around])), now)

    def _wake(self, squares: list[int], now: float) -> None:
        asleep = [square for square in squares if square not in self._awake]
        for square in squares:
            self._awake[square] = now
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
        self._awake = {square: at for square, at in self._awake.items() if at >= before}
        entangled, due = self._entangled(), self._atlas.due()
        resting = [
            thing
            for thing in self._atlas.things.values()
            if square_of(thing.lat, thing.lon) not in self._awake and thing.number not in entangled
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
        for record in self._docket.records.values():
            for held in (record.seens, record.last_seens, list(record.heard.values())):
                for seen in held:
                    if seen.thing is not record.thing:
                        found |= {thing.number for thing in (seen.thing, record.thing) if thing is not None}
        return found

    def _parcel(self, thing: Thing) -> Parcel:
        return Parcel(
            number=thing.number,
            square=square_of(thing.lat, thing.lon),
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
                found.append(self._docket.case(record))
        return found

    def objects(self) -> list[tuple[Thing, Located]]:
        """The objects that rest, and where they were then."""
        return [found for body in self.shelf.all() if (found := located_at_rest(body)) is not None]
