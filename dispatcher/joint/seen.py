"""Seen: a sighting as the engine works with it, and arithmetic on 2x2 covariances written as (ee, en, nn)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dispatcher.open311.report import PREFIX
from vision.sighting import Covariance, Sighting

if TYPE_CHECKING:
    from dispatcher.joint.record import Record
    from dispatcher.joint.thing import Thing

OWN_MORE_M: Final = 0.3  # 1 sigma, each axis: a thing has a size, nobody's errors are quite what they claim
MISJUDGED: Final = 0.08  # of the vehicle's own error: how far it wanders from one sighting to the next
ODDS_OF = (0.02, 0.95)  # between which a confidence counts
LOOK_S: Final = 120.0  # what one pass tells of one thing within so long, it saw in driving by once
AT: Final = "@"


@dataclass(slots=True, eq=False)
class Seen:
    """One accepted sighting. `own` is its error without the vehicle's; `root` the square root of the vehicle's."""

    sighting: Sighting
    number: int  # order of arrival
    at: float  # seconds since 1970
    own: Covariance
    root: Covariance
    key: str  # identity group: only things of one key can be one thing
    look: str  # its pass, and when: a vehicle that turns comes by twice in one pass
    run: int  # its vehicle's, at that time; see Fleet
    odds: float  # log, of its being of anything: its confidence
    confidence: float
    plain: bool  # of something in order
    pass_id: str
    reported: tuple[float, float]  # degrees, and as far as that is claimed to be off:
    claimed: Covariance
    thing: Thing | None = None
    record: Record | None = None
    pinned: bool = False  # a person said what it is of
    told: bool = False  # a case with it was told to its owner
    # Where the thing is by this sighting, the vehicle's estimated error taken off, and how far to trust that.
    lat: float = field(default=0.0)
    lon: float = field(default=0.0)
    covariance: Covariance = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, sighting: Sighting, number: int, key: str, run: int) -> Seen:
        at = sighting.seen_at.timestamp()
        shared = clipped(sighting.shared_covariance_m2, 0.0)
        own = clipped(minus(sighting.covariance_m2, shared), 0.0)
        more = OWN_MORE_M * OWN_MORE_M + MISJUDGED * MISJUDGED * (shared[0] + shared[2]) / 2
        own = plus(own, (more, 0.0, more))
        p = min(max(sighting.confidence, ODDS_OF[0]), ODDS_OF[1])
        look = f"{sighting.pass_id}{AT}{int(at // LOOK_S)}"
        seen = cls(
            sighting=sighting,
            number=number,
            at=at,
            own=own,
            root=root(shared),
            key=key,
            look=look,
            run=run,
            odds=math.log(p / (1.0 - p)),
            confidence=sighting.confidence,
            plain=sighting.matter is None,
            pass_id=sighting.pass_id,
            reported=(sighting.lat, sighting.lon),
            claimed=sighting.covariance_m2,
        )
        seen.lat, seen.lon, seen.covariance = sighting.lat, sighting.lon, plus(own, shared)
        return seen

    @property
    def by_person(self) -> bool:
        """Whether a person reported it, and no camera."""
        return self.sighting.id.startswith(PREFIX)


def surest(seens: Sequence[Seen]) -> float:
    """The highest confidence of what one look saw."""
    most = 0.0
    for seen in seens:
        most = max(most, seen.confidence)
    return most


def pass_of(look: str) -> str:
    """The id of the pass that a look is of."""
    return look.rpartition(AT)[0]


def plus(a: Covariance, b: Covariance) -> Covariance:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def minus(a: Covariance, b: Covariance) -> Covariance:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def inverse(a: Covariance) -> Covariance:
    det = a[0] * a[2] - a[1] * a[1]
    return a[2] / det, -a[1] / det, a[0] / det


def clipped(a: Covariance, least: float) -> Covariance:
    """The nearest covariance whose variances, along its own axes, are at least so much."""
    ee, en, nn = a
    middle, half = (ee + nn) / 2, length((ee - nn) / 2, en)
    low, high = middle - half, middle + half
    if low >= least:
        return a
    low, high = least, max(high, least)
    if half == 0.0:
        return low, 0.0, low
    cos2, sin2 = (ee - nn) / 2 / half, en / half
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * cos2, half * sin2, middle - half * cos2


def root(a: Covariance) -> Covariance:
    """The symmetric square root."""
    s = math.sqrt(max(a[0] * a[2] - a[1] * a[1], 0.0))
    t = math.sqrt(max(a[0] + a[2] + 2 * s, 0.0))
    return (0.0, 0.0, 0.0) if t == 0.0 else ((a[0] + s) / t, a[1] / t, (a[2] + s) / t)


def length(east: float, north: float) -> float:
    """Metres."""
    return math.sqrt(east * east + north * north)


def log_density(east: float, north: float, a: Covariance) -> float:
    """Log of a Gaussian's density, per m², at an offset from its middle."""
    det = a[0] * a[2] - a[1] * a[1]
    d2 = (a[2] * east * east - 2 * a[1] * east * north + a[0] * north * north) / det
    return -0.5 * d2 - 0.5 * math.log(det) - LOG_2PI


def mahalanobis2(east: float, north: float, a: Covariance) -> float:
    """Squared Mahalanobis distance of an offset from a Gaussian's middle."""
    return (a[2] * east * east - 2 * a[1] * east * north + a[0] * north * north) / (a[0] * a[2] - a[1] * a[1])


LOG_2PI: Final = math.log(2 * math.pi)
