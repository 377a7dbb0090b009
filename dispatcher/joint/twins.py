"""Twins: whether two things on the map are one, by where they lie and by what passes saw of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from dispatcher.joint.associate import BANK_M, LOG_NEIGHBOUR, apart, apart_m, relative
from dispatcher.joint.pairs import FARTHEST_M, FLOOR_M, FLOOR_M2
from dispatcher.joint.seen import Seen, length, log_density, mahalanobis2, plus, surest
from dispatcher.joint.thing import CREDIBLE, Kinship, Thing
from vision.sighting import Covariance

DECIDED: Final = -4.0  # log odds of being one at which two things are two, when a pass saw both ...
DECIDED_APART: Final = -12.0  # ... and when none did: the vehicles' errors may be larger than they seem
TWICE_M: Final = 2.0  # 1 sigma, each axis, of where the two copies lie to each other that a pass tells of one thing
LOG_ANOTHER: Final = math.log(7e-3)  # per m²: where something else comes, for each time that the same comes back
WELL_KNOWN: Final = 3  # runs that saw a thing, from which on its place is taken at its word
UNTIED: Final = 0.5  # of the variance of what is known of a run's error
SAW_BOTH: Final = 0.5  # passes, each as far as it is believed
ONE_OF_TWO: Final = 0.6  # log evidence for one thing from a pass that saw one of two neighbours ...
BOTH: Final = -1.5  # ... and from one that saw both: of one thing in eight a pass tells twice, some metres apart ...
BOTH_AT_MOST: Final = -4.0  # ... and hardly ever so far apart that the sightings' own errors do not account for it
CLEARLY_TWO_M: Final = 6.0  # what one pass tells of so far apart is not one thing told twice by a jittering receiver
ONE_AT_MOST: Final = 8.0  # of both together: a neighbour may be hidden from most passes


def sameness(a: Thing, b: Thing, astray: float = 0.0, *, least: float = DECIDED_APART) -> float:
    """Log odds that two things are one: how far apart they lie, and how often passes saw one and both of them.

    `astray` (m²) is what their places may be off against each other beside what is claimed, 1 sigma squared, each axis.
    Of what lies too far apart to come to `least` it is only said that it does.
    """
    if (a.apart or b.apart) and (a.id in b.apart or b.id in a.apart):
        return -math.inf
    east, north = a.offset(b.lat, b.lon)
    if east * east + north * north > FARTHEST_M * FARTHEST_M:
        return -math.inf
    covariance = plus(a.covariance, b.covariance)
    most = log_density(east, north, _wider(covariance, TWICE_M * TWICE_M + astray)) - LOG_NEIGHBOUR + ONE_AT_MOST
    if most < least:
        return most
    kin = kinship(a, b)
    rare, often = (a, b) if (len(a.passes), a.number) <= (len(b.passes), b.number) else (b, a)
    one = float(len(rare.passes) - kin.together)
    loose, common = TWICE_M, LOG_NEIGHBOUR
    if a.plain and b.plain:  # what stays for ever, and was there to be seen
        if a.odds + b.odds < CREDIBLE:
            return -math.inf
        missed = min(max(0.0, rare.expected - len(rare.passes)), len(often.passes) - kin.together)
        alone = (one + missed) * ONE_OF_TWO
    else:  # one may have gone before the other came
        if kin.overlap is None:
            kin.overlap = _while(a, b) + _while(b, a) - 2 * kin.together
        alone = max(min(one * ONE_OF_TWO, ONE_AT_MOST / 2), kin.overlap * ONE_OF_TWO)
        if _gone_before(a, b) or _gone_before(b, a):
            alone, common = 0.0, LOG_ANOTHER
        told_twice = kin.overlap or kin.together  # by how much one is off is the less, the more runs saw both copies
        loose = length(FLOOR_M, TWICE_M / math.sqrt(min(len(a.runs), len(b.runs)))) if told_twice else FLOOR_M
    likely = log_density(east, north, _wider(covariance, loose * loose + astray))
    if kin.shared is not None:
        likely = min(likely, kin.shared)
    other, surer = (a.believed, b.believed) if a.believed <= b.believed else (b.believed, a.believed)
    gain = likely - common + math.log(surer) + 0.5 * math.log(other)
    return gain + min(alone + kin.against, ONE_AT_MOST)


def _gone_before(a: Thing, b: Thing) -> bool:
    """True when a disorder was verified gone before another was first seen: it came back, or something else came."""
    first, _ = _span(b)
    gone = False
    for record in a.records:
        for seen in record.seens:
            if seen.thing is a:  # not what was just cut off it
                if record.closed_at is None or record.closed_at.timestamp() > first:
                    return False
                gone = True
                break
    return gone


def kinship(a: Thing, b: Thing) -> Kinship:
    """What passes tell of two things; kept until either has other sightings."""
    known = a.kinship.get(b.number)
    if known is not None and known[0] == b.stamp:
        return known[1]
    together = a.passes.keys() & b.passes.keys()
    shared = sorted(relative(a.runs[run][0], b.runs[run][0]) for run in a.runs.keys() & b.runs.keys())
    # one vehicle is surest about how far apart they are, and now and then all the more wrong
    middle = shared[len(shared) // 2] if shared else None
    both, against = _both(a, b, together)
    found = Kinship(len(together), both, against, middle)
    a.kinship[b.number] = b.stamp, found
    return found


def _wider(covariance: Covariance, more: float) -> Covariance:
    return plus(covariance, (more, 0.0, more))


def _while(a: Thing, b: Thing) -> int:
    """How many passes saw a thing between the first and the last that saw another."""
    first, last = _span(b)
    n = 0
    for seens in a.passes.values():
        if first <= seens[0].at <= last:
            n += 1
    return n


def _span(thing: Thing) -> tuple[float, float]:
    """When passes saw a thing first and last."""
    first, last = math.inf, -math.inf
    for seens in thing.passes.values():
        first, last = min(first, seens[0].at), max(last, seens[0].at)
    return first, last


def undecided(a: Thing, b: Thing) -> bool:
    """True while it is open whether two things are one. Until a pass has seen both, only a wide gap decides."""
    known = kinship(a, b).both > SAW_BOTH or min(len(a.runs), len(b.runs)) >= WELL_KNOWN
    return sameness(a, b, _astray(a, b)) > (DECIDED if known else DECIDED_APART)


def _astray(a: Thing, b: Thing) -> float:
    """Variance, m², of where two things lie to each other that the map does not know of: each run that no other one
    tied to the rest has a frame of its own."""
    if a.runs.keys() & b.runs.keys():
        return 0.0
    return UNTIED * (1.0 / a.drift[0] + 1.0 / b.drift[0])


def _both(a: Thing, b: Thing, passes: Iterable[str]) -> tuple[float, float]:
    """How many passes saw both, and what they say for one thing (log), each counted as far as it can be believed."""
    both = 0.0
    says = []
    for id in sorted(passes):
        mine, others = a.passes[id], b.passes[id]
        believed = min(surest(mine), surest(others))
        both += believed * two(apart_m(mine[0], others[0]))
        says.append(believed * told_apart(mine[0], others[0]))
    return both, summed(says)


def summed(says: Sequence[float]) -> float:
    """What passes that saw both say together; the one that says most may have erred, and counts as any other."""
    most = min(says, default=0.0)
    return math.fsum(says) - most + max(most, BOTH)


def told_apart(a: Seen, b: Seen) -> float:
    """Log evidence for one thing from a pass that told of it in two places; negative."""
    east, north = apart(a, b)
    own = plus(plus(a.own, b.own), (FLOOR_M2, 0.0, FLOOR_M2))
    return two(length(east, north)) * max(BOTH_AT_MOST, min(BOTH, -0.5 * mahalanobis2(east, north, own)))


def two(apart: float) -> float:
    """How far it counts that a pass told of two things so far apart (m): within a tracker's reach they may be one."""
    return min(max((apart - BANK_M) / (CLEARLY_TWO_M - BANK_M), 0.0), 1.0)


def widest(thing: Thing, seens: Sequence[Seen]) -> tuple[Seen, Seen] | None:
    """The two sightings of one pass that stand farthest apart; None when they are one, or a bank side by side."""
    best: tuple[float, Seen, Seen] | None = None
    for n, a in enumerate(seens):
        for b in seens[:n]:
            apart = apart_m(a, b)
            if apart > BANK_M and (best is None or apart > best[0]):
                best = (apart, b, a)
    return None if best is None else best[1:]
