"""How well a document of `cases replay` tells what a simulated world hides.

Truth      Every sighting is of something: of an *episode* of a disorder (a thing that was there from birth to removal;
           one that came back is another episode), of a bin, of a poster, of a bin mistaken for an overflowing one
           ("bin-007/mistaken"), or of nothing (a stray). Only episodes are real disorders.
Entity     A case or an object of the document. It *is* what most of its sightings are of; every stray is a thing of its
           own, and on a tie an episode wins. Opened: `opened_at` is not null.
Pass       As on the wire: one camera of one vehicle. Seen: an episode that sightings of at least two passes are of.

pairwise   Over the sightings of violations that are of something: of the pairs in one case, how many are of one thing
           (precision); of the pairs of one thing, how many are in one case (recall). `objects` has the same over
           sightings of bins, `with_strays` over all sightings of violations.
b_cubed    The same, averaged over sightings instead of pairs (Bagga and Baldwin 1998).
duplicates Openings told beyond the first of each opened episode, by opened episode. An opening is an `opened` or
           `rebounded`; cases that were merged carry the openings of both.
lost       Seen episodes that no opened case is, by seen episode.
false      Opened cases that are no episode, by opened case.
open_h     Hours from birth, and from the first sighting, to the first opening told (or `opened_at` when nobody was
           told); episodes born before the world begins are left out of the first.
close      precision: closed cases that are an episode and were closed after its removal, by closed case that is an
           episode. recall: opened episodes, removed six hours before the end or earlier, that a case was rightly closed
           for. hours: from removal to `closed_at`.
rebound    recall: seen episodes that are a return, whose thing's episode before was opened, and closed before the
           return, told as a case with `episode` > 1 whose `previous` is an episode of the same thing. recall_all:
           without the condition of having been closed. precision: opened cases with `episode` > 1 that are one.
bins       split: objects beyond the first of each bin; invented: objects seen by two passes that are no bin; both by
           bin seen by two passes. swallowed: bins seen by two passes that no object is.
position   Metres from an entity that is a bin or an episode to it, by the number of its own passes. of_things: of
           each bin and episode once, from the entity that has most of its sightings, by the passes that saw the thing.
owner      Opened cases that are an episode: whether the most probable owner is right, by the distance to the border.
           ece: expected calibration error of its probability, ten equal bins (Naeini et al. 2015).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from ingest.frame import parse_rfc3339
from ingest.geo import distance_m

OPENINGS = ("opened", "rebounded")
BORDER_M = (0.0, 2.0, 5.0, 10.0, 20.0, math.inf)
PASSES = ((1, 1), (2, 4), (5, 9), (10, 10**9))
LEAST_HOURS = 6.0  # between a removal and the end for its closing to be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A case or object, and what it is."""

    doc: Mapping[str, Any]
    case: bool
    of: str  # label of truth; "stray:<sighting>" for nothing
    real: bool  # an episode
    passes: int
    opened: bool
    openings: int

    @property
    def closed_at(self) -> datetime | None:
        return _time(self.doc.get("closed_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A real disorder."""

    id: str
    thing: Mapping[str, Any]
    number: int  # from 0 within its thing
    born_at: datetime
    removed_at: datetime
    passes: int  # that sighted it
    first_seen_at: datetime | None


class World:
    """Truth, read."""

    def __init__(self, truth: Mapping[str, Any]) -> None:
        self.sightings: Mapping[str, Mapping[str, Any]] = truth["sightings"]
        self.things = {thing["id"]: thing for thing in truth["things"]}
        self.starts_at, self.ends_at = _sure(truth["starts_at"]), _sure(truth["ends_at"])
        self.passes: dict[str, set[str]] = defaultdict(set)  # label -> passes, each by sightings of its own kind
        first: dict[str, datetime] = {}
        for entry in self.sightings.values():
            if entry["of"] is not None:
                self.passes[entry["of"]].add(entry["pass"])
                at = _sure(entry["at"])
                first[entry["of"]] = min(at, first.get(entry["of"], at))
        self.episodes = {e.id: e for e in self._episodes(first)}
        self.bins = [id for id, thing in self.things.items() if thing["bin"] and len(self.passes[id]) >= 2]

    def _episodes(self, first: Mapping[str, datetime]) -> Iterable[Episode]:
        for thing in self.things.values():
            for number, told in enumerate(thing["episodes"]):
                yield Episode(
                    id=told["id"],
                    thing=thing,
                    number=number,
                    born_at=_sure(told["born_at"]),
                    removed_at=_sure(told["removed_at"]),
                    passes=len(self.passes[told["id"]]),
                    first_seen_at=first.get(told["id"]),
                )

    def label(self, sighting: str) -> str:
        entry = self.sightings.get(sighting)
        return f"stray:{sighting}" if entry is None or entry["of"] is None else str(entry["of"])

    def entity(self, doc: Mapping[str, Any], *, case: bool) -> Entity:
        labels = Counter(self.label(s) for s in doc["sightings"])
        of = max(sorted(labels), key=lambda name: (labels[name], name in self.episodes), default="stray:")
        passes = {self.sightings[s]["pass"] for s in doc["sightings"] if s in self.sightings}
        opened = case and doc.get("opened_at") is not None
        return Entity(
            doc=doc,
            case=case,
            of=of,
            real=of in self.episodes,
            passes=len(passes),
            opened=opened,
            openings=_openings(doc) if opened else 0,
        )


def score(document: Mapping[str, Any], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Every figure of the module's docstring. Rounded; None where there is nothing to divide by."""
    world = World(truth)
    cases = [world.entity(doc, case=True) for doc in document["cases"]]
    objects = [world.entity(doc, case=False) for doc in document["objects"]]
    place = {s: n for n, e in enumerate([*cases, *objects]) for s in e.doc["sightings"]}
    violations = [s for s, entry in world.sightings.items() if entry["kind"] != "garbage_bin"]
    of_something = {s for s, entry in world.sightings.items() if entry["of"] is not None}
    anchors = [s for s in of_something if world.sightings[s]["kind"] == "garbage_bin"]
    return {
        "sightings": len(world.sightings),
        "unplaced": sum(s not in place for s in world.sightings),
        "episodes": len(world.episodes),
        "seen": sum(e.passes >= 2 for e in world.episodes.values()),
        "cases": len(cases),
        "opened": sum(e.opened for e in cases),
        **clusters(world, [s for s in violations if s in of_something], place),
        "with_strays": clusters(world, violations, place),
        "objects": clusters(world, anchors, place) | {"count": len(objects)},
        **openings(world, cases),
        "close": closes(world, cases),
        "rebound": rebounds(world, cases),
        "bins": bins(world, objects),
        "position_m": positions(world, [*cases, *objects]) | {"of_things": of_things(world, [*cases, *objects])},
        "owner": owners(world, cases),
    }


def clusters(world: World, sightings: Sequence[str], place: Mapping[str, int]) -> dict[str, Any]:
    """Pairwise and B-cubed precision, recall and F1. A sighting that is nowhere is alone."""
    where = [str(place.get(s, f"alone:{s}")) for s in sightings]
    of = [world.label(s) for s in sightings]
    both, found, true = Counter(zip(where, of, strict=True)), Counter(where), Counter(of)
    pairs = [sum(n * (n - 1) // 2 for n in counter.values()) for counter in (both, found, true)]
    pairwise = _prf(pairs[0], pairs[1], pairs[0], pairs[2])
    n = len(sightings)
    exact = sum(c * c / found[w] for (w, _), c in both.items())
    whole = sum(c * c / true[o] for (_, o), c in both.items())
    return {"pairwise": pairwise, "b_cubed": _prf(exact, n, whole, n)}


def openings(world: World, cases: Sequence[Entity]) -> dict[str, Any]:
    """Duplicates, lost, false, and the time it took."""
    told: dict[str, list[Entity]] = defaultdict(list)
    for entity in cases:
        if entity.opened and entity.real:
            told[entity.of].append(entity)
    seen = [e for e in world.episodes.values() if e.passes >= 2]
    opened = sum(e.opened for e in cases)
    born, first = [], []
    for id, entities in told.items():
        episode, at = world.episodes[id], min(map(_told_at, entities))
        if episode.born_at >= world.starts_at:
            born.append(_hours(at, episode.born_at))
        if episode.first_seen_at is not None:
            first.append(_hours(at, episode.first_seen_at))
    return {
        "duplicates": _ratio(sum(sum(e.openings for e in es) - 1 for es in told.values()), len(told)),
        "lost": _ratio(sum(e.id not in told for e in seen), len(seen)),
        "false": _ratio(sum(e.opened and not e.real for e in cases), opened),
        "open_h": {"from_birth": _spread(born), "from_first_sighting": _spread(first)},
    }


def closes(world: World, cases: Sequence[Entity]) -> dict[str, Any]:
    """Whether what was closed was gone, and what was gone was closed."""
    closed = [e for e in cases if e.opened and e.real and e.closed_at is not None]
    right: dict[str, datetime] = {}
    good = 0
    for entity in closed:
        at, episode = entity.closed_at, world.episodes[entity.of]
        if at is not None and at >= episode.removed_at:
            good += 1
            right[episode.id] = min(at, right.get(episode.id, at))
    opened = {e.of for e in cases if e.opened and e.real}
    due = [e for e in world.episodes.values() if e.id in opened and _hours(world.ends_at, e.removed_at) >= LEAST_HOURS]
    return {
        "precision": _ratio(good, len(closed)),
        "recall": _ratio(sum(e.id in right for e in due), len(due)),
        "closed": len(closed),
        "hours": _spread([_hours(at, world.episodes[id].removed_at) for id, at in right.items()]),
    }


def rebounds(world: World, cases: Sequence[Entity]) -> dict[str, Any]:
    """Whether what came back was told as a return, and what was told as one came back."""
    by_id = {e.doc["id"]: e for e in cases}
    episodes = {(e.thing["id"], e.number): e for e in world.episodes.values()}
    told, right = 0, set()
    good = 0
    for entity in cases:
        if not entity.opened or entity.doc["episode"] <= 1:
            continue
        told += 1
        before = by_id.get(entity.doc["previous"])
        if entity.real and before is not None and _returned(world, before.of, entity.of):
            good += 1
            right.add(entity.of)
    returns = []
    for (thing, number), episode in episodes.items():
        if number and episode.passes >= 2 and any(e.opened and e.of == episodes[thing, number - 1].id for e in cases):
            closed = [e.closed_at for e in cases if e.opened and e.of == episodes[thing, number - 1].id and e.closed_at]
            returns.append((episode.id, any(at <= episode.born_at for at in closed)))
    return {
        "recall": _ratio(sum(id in right for id, closed in returns if closed), sum(c for _, c in returns)),
        "recall_all": _ratio(sum(id in right for id, _ in returns), len(returns)),
        "precision": _ratio(good, told),
        "returns": sum(c for _, c in returns),
        "told": told,
    }


def _returned(world: World, before: str, after: str) -> bool:
    first, second = world.episodes.get(before), world.episodes.get(after)
    if first is None or second is None:
        return False
    return first.thing is second.thing and first.number < second.number


def bins(world: World, objects: Sequence[Entity]) -> dict[str, Any]:
    """Whether each bin is one object."""
    of = Counter(e.of for e in objects if e.of in world.things)
    split = sum(count - 1 for count in of.values())
    invented = sum(e.passes >= 2 and e.of not in world.things for e in objects)
    known = len(world.bins)
    return {
        "seen": known,
        "split": _ratio(split, known),
        "split_share": _ratio(sum(count > 1 for count in of.values()), known),
        "invented": _ratio(invented, known),
        "split_or_invented": _ratio(split + invented, known),
        "swallowed": _ratio(sum(id not in of for id in world.bins), known),
    }


def positions(world: World, entities: Iterable[Entity]) -> dict[str, Any]:
    """Errors of entities by the number of their passes."""
    return _by_passes((entity.passes, error) for entity in entities if (error := _off(world, entity)) is not None)


def of_things(world: World, entities: Iterable[Entity]) -> dict[str, Any]:
    """Errors of things by the number of passes that saw them."""
    best: dict[str, tuple[int, Entity]] = {}
    for entity in entities:
        own = sum(world.label(sighting) == entity.of for sighting in entity.doc["sightings"])
        if own > best.get(entity.of, (0, None))[0]:
            best[entity.of] = own, entity
    return _by_passes(
        (len(world.passes[of]), error) for of, (_, entity) in best.items() if (error := _off(world, entity)) is not None
    )


def _off(world: World, entity: Entity) -> float | None:
    """Metres from the bin or episode that an entity is; None for another one."""
    thing = world.episodes[entity.of].thing if entity.real else world.things.get(entity.of)
    if thing is None or thing["poster"]:
        return None
    return distance_m(entity.doc["lat"], entity.doc["lon"], thing["lat"], thing["lon"])


def _by_passes(found: Iterable[tuple[int, float]]) -> dict[str, Any]:
    errors: dict[tuple[int, int], list[float]] = {span: [] for span in PASSES}
    for passes, error in found:
        errors[next(s for s in PASSES if s[0] <= max(1, passes) <= s[1])].append(error)
    names = {span: f"{span[0]}" if span[0] == span[1] else f"{span[0]}-{span[1]}" for span in PASSES}
    names[PASSES[-1]] = "10+"
    return {names[span]: _spread(values, 3) for span, values in errors.items()}


def owners(world: World, cases: Sequence[Entity]) -> dict[str, Any]:
    """Whether the right office was told, and whether its probability means what it says."""
    rows = []
    for entity in cases:
        if entity.opened and entity.real:
            thing = world.episodes[entity.of].thing
            p, area = max(((o["p"], o["area"]) for o in entity.doc["owners"]), default=(0.0, None))
            rows.append((thing["border_m"], float(p), area == thing["area"]))
    by_border = {}
    for low, high in pairwise(BORDER_M):
        hits = [ok for border, _, ok in rows if low <= border < high]
        by_border[f"{low:g}-{high:g}" if high < math.inf else f"{low:g}+"] = {
            "n": len(hits),
            "accuracy": _ratio(sum(hits), len(hits)),
        }
    return {
        "accuracy": _ratio(sum(ok for _, _, ok in rows), len(rows)),
        "ece": calibration_error([p for _, p, _ in rows], [ok for _, _, ok in rows]),
        "by_border_m": by_border,
    }


def calibration_error(p: Sequence[float], right: Sequence[bool], bins: int = 10) -> float | None:
    """Mean distance of what was said from what came true, over equal bins of p, by their number."""
    if not p:
        return None
    said, came = np.array(p), np.array(right, np.float64)
    bin_of = np.minimum((said * bins).astype(int), bins - 1)
    gaps = [abs(float(said[bin_of == b].mean() - came[bin_of == b].mean())) * (bin_of == b).sum() for b in set(bin_of)]
    return round(float(sum(gaps)) / len(p), 4)


def _openings(doc: Mapping[str, Any]) -> int:
    """How often an opening of a case was told; co-notified neighbours hear of the same one."""
    told = [(alert["recipient"], alert["at"]) for alert in doc.get("alerts", ()) if alert["event"] in OPENINGS]
    most = max(Counter(recipient for recipient, _ in told).values(), default=0)
    return max(1, most, len({at for _, at in told}))


def _told_at(entity: Entity) -> datetime:
    told = [_sure(a["at"]) for a in entity.doc.get("alerts", ()) if a["event"] in OPENINGS]
    return min(told) if told else _sure(entity.doc["opened_at"])


def _prf(good_found: float, found: float, good_true: float, true: float) -> dict[str, float | None]:
    precision, recall = _ratio(good_found, found), _ratio(good_true, true)
    if precision is None or recall is None:
        return {"precision": precision, "recall": recall, "f1": None}
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": round(f1, 4)}


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    if not values:
        return {"n": 0, "median": None, "p90": None}
    median, p90 = np.percentile(values, [50, 90])
    return {"n": len(values), "median": round(float(median), digits), "p90": round(float(p90), digits)}


def _hours(late: datetime, early: datetime) -> float:
    return (late - early).total_seconds() / 3600


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)


def _sure(text: str) -> datetime:
    return parse_rfc3339(text)
