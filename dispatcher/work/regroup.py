"""Regroup: cases as a person leaves them who says that two are one, or that one is two. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from dispatcher.case import OVER, Alert, Case, State
from dispatcher.owner import recipients
from dispatcher.place import Episode, Owners, Place
from dispatcher.store.rows import Document
from vision.sighting import Sighting

TOLD = frozenset({State.OPEN, State.HANDLED})


def unmergeable(case: Document, other: Document) -> str | None:
    """Why a case cannot go on in another one; None when it can."""
    if case["id"] == other["id"]:
        return "a case cannot go into itself"
    if case["matter"] != other["matter"]:
        return f"a case of {case['matter']} cannot go on in one of {other['matter']}"
    if case["state"] in OVER:
        return "it is over"
    if other["state"] not in TOLD:
        return "the other one is not open"
    return None


def merged(case: Case, other: Case, sightings: Sequence[Sighting], owners: Owners) -> tuple[Case, Case]:
    """A case that ends here, and the other that goes on with the sightings of both, in this order its own first."""
    opened = min(filter(None, (case.opened_at, other.opened_at)), default=None)
    kept = replace(
        other,
        alerts=(*other.alerts, *case.alerts),
        opened_at=opened,
        probability=max(case.probability, other.probability),
    )
    return replace(case, state=State.DISMISSED, merged_into=other.id), _of(kept, sightings, owners)


def parted(
    case: Case, id: str, taken: Collection[str], sightings: Sequence[Sighting], owners: Owners, at: datetime
) -> tuple[Case, Case]:
    """What stays of a case, and the new one of the sightings that were taken, with whom it is told to."""
    fresh = replace(case, id=id, state=State.OPEN, episode=1, previous=None, alerts=())
    part = _of(fresh, [s for s in sightings if s.id in taken], owners)
    alerts = tuple(Alert(recipient, "split", at) for recipient in recipients(part.owners))
    return _of(case, [s for s in sightings if s.id not in taken], owners), replace(part, alerts=alerts)


def _of(case: Case, sightings: Sequence[Sighting], owners: Owners) -> Case:
    """The case of exactly these sightings: placed and owned as the case engine would."""
    episode = Episode(
        id=case.id,
        number=case.episode,
        previous=case.previous,
        state=case.state,
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        probability=case.probability,
        alerts=list(case.alerts),
    )
    episode.hold(list(sightings), (), owners)
    return Place("", case.kind, case.matter, [episode]).case(episode)
