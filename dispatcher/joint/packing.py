"""Packing: a thing, with all that was seen of it and its cases, as a text; and back, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dispatcher.case import Alert, Share, State
from dispatcher.joint.belief import Look
from dispatcher.joint.record import Record
from dispatcher.joint.seen import Seen
from dispatcher.joint.thing import Located, Message, Thing
from vision.sighting import Covariance, Evidence, Pictured, Sighting

Placed = tuple[float, float, Covariance, tuple[Share, ...]]  # where a case is, and whose


def packed(thing: Thing, located: Located | None, placed: Callable[[Record], Placed]) -> str:
    """A thing whose cases are its own: what was ever told as a part of them is still of it.

    With it goes where it is on the ground, for an object, and `placed` for each case: as far as that is known now.
    """
    seens = thing.seens
    at = {seen.number: n for n, seen in enumerate(seens)}
    cases = {record.id: n for n, record in enumerate(thing.records)}
    body = [
        thing_row(thing),
        [seen_row(seen, None if seen.record is None else cases[seen.record.id]) for seen in seens],
        [[run, [at[seen.number] for seen in found]] for run, found in thing.runs.items()],
        [[run, message_row(message)] for run, message in thing.messages.items()],
        [[look, [at[seen.number] for seen in found]] for look, found in thing.passes.items()],
        looks_row(thing),
        [record_row(record, at, placed(record)) for record in thing.records],
        located,
    ]
    return json.dumps(body, separators=(",", ":"))


def unpacked(text: str) -> Thing:
    """The thing again, equal in everything but what it remembers of its neighbours."""
    thing_, seens_, runs, messages, passes, looks, records, _ = json.loads(text)
    thing = thing_again(thing_)
    seens = [seen_again(row, thing) for row in seens_]
    thing.runs = {run: [seens[n] for n in found] for run, found in runs}
    thing.messages = {run: message_again(row) for run, row in messages}
    thing.passes = {look: [seens[n] for n in found] for look, found in passes}
    thing.looks = looks_again(looks)
    thing.records = [record_again(row, seens, thing) for row in records]
    for seen, row in zip(seens, seens_, strict=True):
        seen.record = None if row[1] is None else thing.records[row[1]]
    return thing


def located_at_rest(text: str) -> tuple[Thing, Located] | None:
    """A packed thing that is an object, and where it was when it was packed."""
    located = json.loads(text)[7]
    return None if located is None else (unpacked(text), (located[0], located[1], three(located[2])))


def placed_at_rest(text: str) -> list[tuple[Record, Placed]]:
    """The cases of a packed thing, and where they were when it was packed."""
    found = zip(unpacked(text).records, json.loads(text)[6], strict=True)
    return [(record, _placed_again(row[-1])) for record, row in found]


# A thing


def thing_row(t: Thing) -> list[Any]:
    return [
        *(t.id, t.number, t.key, t.lat0, t.lon0, t.per_lat, t.per_lon, t.lat, t.lon),
        *(t.information, t.east, t.north, t.covariance, t.drift, t.disorders, sorted(t.apart), t.there, t.stood),
        *(t.odds, t.believed, t.tried, t.expected, t.plain, t.halved, t.stamp),
    ]


def thing_again(row: list[Any]) -> Thing:
    thing = Thing(*row[:9])
    information, thing.east, thing.north, covariance, drift, disorders, apart, thing.there, stood = row[9:18]
    thing.information, thing.covariance, thing.drift = three(information), three(covariance), three(drift)
    thing.disorders = [three(span) for span in disorders]
    thing.apart = set(apart)
    thing.stood = [(first, last) for first, last in stood]
    thing.odds, thing.believed, thing.tried, thing.expected, thing.plain = row[18:23]
    thing.halved, thing.stamp = row[23:]
    return thing


def looks_row(thing: Thing) -> list[Any]:
    return [[look.at.isoformat(), look.pass_id, look.detectable] for look in thing.looks.values()]


def looks_again(rows: list[Any]) -> dict[str, Look]:
    return {id: Look(datetime.fromisoformat(at), id, None, detectable) for at, id, detectable in rows}


def message_row(message: Message) -> list[Any]:
    return [message.information, message.east, message.north, message.error]


def message_again(row: list[Any]) -> Message:
    return Message(three(row[0]), row[1], row[2], three(row[3]))


# A sighting


def seen_row(seen: Seen, case: int | None) -> list[Any]:
    s = seen.sighting
    return [
        [
            *(s.id, s.pass_id, s.vehicle, s.camera, s.kind, s.matter, s.confidence, s.seen_at.isoformat(), s.lat),
            *(s.lon, s.covariance_m2, s.shared_covariance_m2, s.frames, s.model, _evidence(s.evidence)),
        ],
        case,
        *(seen.number, seen.run, seen.pinned, seen.told, seen.lat, seen.lon, seen.covariance),
    ]


def seen_again(row: list[Any], thing: Thing) -> Seen:
    sighting_, _, number, run, pinned, told, lat, lon, covariance = row
    seen = Seen.of(_sighting_again(sighting_), number, thing.key, run)
    seen.thing, seen.pinned, seen.told = thing, pinned, told
    seen.lat, seen.lon, seen.covariance = lat, lon, three(covariance)
    return seen


def _sighting_again(row: list[Any]) -> Sighting:
    id, pass_id, vehicle, camera, kind, matter, confidence, seen_at, lat = row[:9]
    lon, covariance, shared, frames, model, evidence = row[9:]
    return Sighting(
        id=id,
        pass_id=pass_id,
        vehicle=vehicle,
        camera=camera,
        kind=kind,
        matter=matter,
        confidence=confidence,
        seen_at=datetime.fromisoformat(seen_at),
        lat=lat,
        lon=lon,
        covariance_m2=three(covariance),
        shared_covariance_m2=three(shared),
        frames=frames,
        model=model,
        evidence=_evidence_again(evidence),
    )


def _evidence(evidence: Pictured | None) -> list[Any] | None:
    return None if evidence is None else [evidence.uri, evidence.sha256, evidence.box_xyxy, evidence.missing]


def _evidence_again(row: list[Any] | None) -> Evidence | None:
    if row is None:
        return None
    uri, sha256, box, missing = row
    return Evidence(uri=uri, sha256=sha256, box_xyxy=None if box is None else tuple(box), missing=missing)


# A case


def record_row(r: Record, at: Mapping[int, int], placed: Placed) -> list[Any]:
    lat, lon, covariance, owners = placed
    return [
        *(r.id, r.number, r.kind, r.matter, r.episode, r.previous, str(r.state), r.probability),
        *(_iso(r.handled_at), _iso(r.ended_at), r.refused_until, r.one_until),
        *(_iso(r.opened_at), _iso(r.closed_at), [[a.recipient, a.event, a.at.isoformat()] for a in r.alerts]),
        *(_shares(r.owners), r.areas, r.logged, r.told, r.learnt, r.taught, r.again, sorted(r.passes)),
        [at[seen.number] for seen in r.seens],
        [at[seen.number] for seen in r.last_seens],
        [at[seen.number] for seen in r.heard.values()],
        *(r.routed, r.routed_passes, r.lat, r.lon, r.covariance),
        [lat, lon, covariance, _shares(owners)],
    ]


def record_again(row: list[Any], seens: Mapping[int, Seen] | list[Seen], thing: Thing | None) -> Record:
    id, number, kind, matter, episode, previous, state, probability = row[:8]
    handled_at, ended_at, refused_until, one_until, opened_at, closed_at, alerts = row[8:15]
    owners, areas, logged, told, learnt, taught, again, passes, mine, last, heard = row[15:26]
    routed, routed_passes, lat, lon, covariance, _ = row[26:]
    record = Record(id, number, kind, matter, episode, previous, State(state))
    record.probability = probability
    record.handled_at, record.ended_at = _time(handled_at), _time(ended_at)
    record.refused_until, record.one_until = refused_until, one_until
    record.opened_at, record.closed_at = _time(opened_at), _time(closed_at)
    record.alerts = [Alert(recipient, event, datetime.fromisoformat(at)) for recipient, event, at in alerts]
    record.owners, record.areas = _shares_again(owners), areas
    record.logged, record.told, record.learnt, record.taught, record.again = logged, told, learnt, taught, again
    record.passes = set(passes)
    record.seens, record.last_seens = [seens[n] for n in mine], [seens[n] for n in last]
    record.heard = {seens[n].sighting.id: seens[n] for n in heard}
    record.thing = thing
    record.routed, record.routed_passes = (routed[0], routed[1]), routed_passes
    record.lat, record.lon, record.covariance = lat, lon, three(covariance)
    return record


def _shares(owners: tuple[Share, ...]) -> list[list[Any]]:
    return [[share.area, share.p] for share in owners]


def _shares_again(rows: list[list[Any]]) -> tuple[Share, ...]:
    return tuple(Share(area, p) for area, p in rows)


def _placed_again(row: list[Any]) -> Placed:
    lat, lon, covariance, owners = row
    return lat, lon, three(covariance), _shares_again(owners)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def three(row: list[float]) -> tuple[float, float, float]:
    a, b, c = row
    return a, b, c
