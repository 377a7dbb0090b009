"""Shown: a case as others see it."""

from __future__ import annotations

from dispatcher.case import Case
from dispatcher.joint.record import Record
from dispatcher.joint.seen import Seen


def case_of(record: Record) -> Case:
    """A snapshot of one case."""
    seens = record.seens or record.last_seens
    best = max(seens, key=lambda s: (_has_picture(s), s.confidence))
    ee, en, nn = record.covariance
    return Case(
        id=record.id,
        kind=record.kind,
        matter=record.matter,
        state=record.state,
        lat=round(record.lat, 7),
        lon=round(record.lon, 7),
        covariance_m2=(round(ee, 4), round(en, 4), round(nn, 4)),
        probability=round(record.probability, 4),
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        episode=record.episode,
        previous=record.previous,
        first_seen_at=seens[0].sighting.seen_at,
        last_seen_at=seens[-1].sighting.seen_at,
        sightings=tuple(s.sighting.id for s in seens),
        passes=len({s.pass_id for s in seens}),
        owners=record.owners,
        alerts=tuple(record.alerts),
        confidence=max(s.confidence for s in seens),
        evidence=best.sighting.evidence,
    )


def _has_picture(seen: Seen) -> bool:
    evidence = seen.sighting.evidence
    return evidence is not None and evidence.uri is not None
