"""Sight: the models that look at every frame, as one. The first judges a frame's quality, others add kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.frame import Frame
from models.card import Card, ModelUnusable
from vision.detections import Detections
from vision.detector import Detector
from vision.engines import AUTO
from vision.no_parking import NoParking
from vision.parked import KIND as PARKED
from vision.parked import Parked
from vision.reporting import found, reporter
from vision.stretch import Found, Judged
from vision.worker import Detect, Shown


@dataclass(frozen=True, slots=True)
class Sight:
    """What a worker sees with."""

    detect: Detect
    model: str  # version of every model, joined by " + "
    recall: Mapping[str, float]  # by kind
    judged: Judged | None = None  # what of its things is told


def open_sight(cards: Sequence[Card], engine: str = AUTO, *, no_parking: str = "") -> Sight:
    """Load the models, the first of which judges a frame's quality. Raises ModelUnusable, or EngineUnavailable.

    With a file of no-parking areas two-wheelers are looked for near them; raises NoParkingUnreadable.
    """
    parked = Parked(NoParking.read(Path(no_parking)), engine) if no_parking else None
    kinds = answering(cards)
    detectors = [Detector(card, engine=engine) for card in cards]
    first = reporter(detectors[0], cards[0])

    def detect(frames: Sequence[Frame]) -> list[Shown]:
        shown = first(frames)
        worth = [i for i, one in enumerate(shown) if isinstance(one, list)]
        jpegs = [frames[i].jpeg for i in worth]
        for detector, card, own in zip(detectors[1:], cards[1:], kinds[1:], strict=True):
            for i, result in zip(worth, detector.detect_jpegs(jpegs), strict=True):
                shown[i] = _with(shown[i], result, card, own)
        if parked is not None:
            near = [i for i in worth if parked.near(frames[i])]
            for i, things in zip(near, parked([frames[i] for i in near]) if near else (), strict=True):
                shown[i] = _and(shown[i], things)
        return shown

    recall = {kind: card.recall[kind] for card, own in zip(cards, kinds, strict=True) for kind in own}
    versions = [one.version for one in detectors]
    if parked is None:
        return Sight(detect, " + ".join(versions), recall)
    seen = recall | {PARKED: 0.0}  # that none was told proves nothing: how often one is, nobody measured
    return Sight(detect, " + ".join([*versions, parked.version]), seen, parked.judged)


def answering(cards: Sequence[Card]) -> list[tuple[str, ...]]:
    """The kinds that each model answers for: where two know one, the first. Raises ModelUnusable where none is left."""
    taken: set[str] = set()
    out = []
    for card in cards:
        own = tuple(kind for kind in card.classes if kind not in taken)
        if not own:
            raise ModelUnusable(f"model {card.name} knows no kind that the models before it do not know")
        taken |= set(own)
        out.append(own)
    return out


def _with(shown: Shown, result: Detections | ValueError, card: Card, own: tuple[str, ...]) -> Shown:
    """What a frame shows, with what another model found; a picture that it cannot read is unreadable."""
    if isinstance(result, ValueError) or not isinstance(shown, list):
        return result if isinstance(result, ValueError) else shown
    return _and(shown, [thing for thing in found(result, card) if thing.kind in own])


def _and(shown: Shown, things: list[Found] | ValueError) -> Shown:
    if isinstance(things, ValueError) or not isinstance(shown, list):
        return things if isinstance(things, ValueError) else shown
    return [*shown, *things]
