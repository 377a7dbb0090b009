"""Identity: whether a sighting is of a thing that is known already.

Two sightings of different passes are of one thing when they agree within their errors (Mahalanobis distance on both
covariances). Two sightings of one pass are two things already: only a bank of the same things, standing side by side,
is one disorder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ingest.geo import m_per_deg, offset_from_latlon
from vision.sighting import Covariance, Sighting

GATE = 9.21  # chi² with two degrees of freedom at 99 %
FLOOR_M = 1.0  # a heap, a bank of bins or a stall has a size, and errors are never quite what they claim
BANK_M = 3.0  # things of one kind seen in one pass this close to each other are one disorder
BANK_REACH_M = 8.0  # from a bank's middle; a row longer than that is more than one disorder
FARTHEST_M = 40.0  # however vague the positions, things farther apart than this are never taken for one
FUSED_FLOOR_M = 0.3
NEVER_SURE_M2 = 1e-4  # added to each axis: a covariance of nothing has no inverse


def spread_m(covariance: Covariance) -> float:
    """Standard deviation over both axes together, metres."""
    return math.sqrt(covariance[0] + covariance[2])


def fuse(sightings: Sequence[Sighting]) -> tuple[float, float, Covariance]:
    """(lat, lon, covariance) of the thing that these sightings are of.

    Sightings of one pass share their vehicle's error: they are averaged first, and passes fused in information form.
    Written out for two axes: calls into numpy cost ten times what they compute here.
    """
    lat0, lon0 = sightings[0].lat, sightings[0].lon
    per_lat, per_lon = m_per_deg(lat0)
    passes: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        passes.setdefault(sighting.pass_id, []).append(sighting)
    known_ee = known_en = known_nn = 0.0  # information
    weighted_east = weighted_north = 0.0
    for group in passes.values():
        east = sum([(s.lon - lon0) * per_lon for s in group]) / len(group)
        north = sum([(s.lat - lat0) * per_lat for s in group]) / len(group)
        # Members of a bank stand apart: their mean is the middle, no surer than the surest of them.
        surest = group[0] if len(group) == 1 else min(group, key=_variance)
        ee, en, nn = surest.covariance_m2
        own_ee, own_en, own_nn = _inverse(ee + NEVER_SURE_M2, en, nn + NEVER_SURE_M2)
        known_ee, known_en, known_nn = known_ee + own_ee, known_en + own_en, known_nn + own_nn
        weighted_east += own_ee * east + own_en * north
        weighted_north += own_en * east + own_nn * north
    ee, en, nn = _inverse(known_ee, known_en, known_nn)
    east, north = ee * weighted_east + en * weighted_north, en * weighted_east + nn * weighted_north
    covariance = (ee + FUSED_FLOOR_M**2, en, nn + FUSED_FLOOR_M**2)
    return lat0 + north / per_lat, lon0 + east / per_lon, covariance


def distance2(sighting: Sighting, lat: float, lon: float, covariance: Covariance) -> tuple[float, float]:
    """(squared Mahalanobis distance, log determinant of its covariance) of a sighting from a known thing."""
    east, north = _enu(sighting, lat, lon)
    if math.hypot(east, north) > FARTHEST_M:
        return math.inf, 0.0
    own = sighting.covariance_m2
    ee, nn = (own[i] + covariance[i] + FLOOR_M**2 for i in (0, 2))
    en = own[1] + covariance[1]
    determinant = ee * nn - en * en
    return (nn * east**2 - 2 * en * east * north + ee * north**2) / determinant, math.log(determinant)


def same_bank(sighting: Sighting, others: Sequence[Sighting], lat: float, lon: float) -> bool:
    """True when a sighting stands beside others of its own pass, as one disorder with them."""
    nearest = min(math.hypot(*_enu(sighting, o.lat, o.lon)) for o in others)
    return nearest <= BANK_M and math.hypot(*_enu(sighting, lat, lon)) <= BANK_REACH_M


def score(sighting: Sighting, known: list[Sighting], lat: float, lon: float, covariance: Covariance) -> float | None:
    """How badly a sighting fits a known thing (smaller is better); None when it is another one."""
    beside = [other for other in known if other.pass_id == sighting.pass_id]
    distance, volume = distance2(sighting, lat, lon, covariance)
    if beside:
        return distance + volume if same_bank(sighting, beside, lat, lon) else None
    return distance + volume if distance <= GATE else None


def best_of(scores: dict[str, float | None]) -> str | None:
    """The id that fits best, ties by id; None when none fits."""
    fitting = [(score, id) for id, score in scores.items() if score is not None]
    return min(fitting)[1] if fitting else None


class Grid:
    """An index of points in squares of about 50 m. Cost of a look-up depends on the reach, not on what is stored."""

    STEP_DEG = 50.0 / 111_000.0

    def __init__(self) -> None:
        self._squares: dict[tuple[str, int, int], set[str]] = {}
        self._at: dict[str, tuple[str, int, int]] = {}

    def put(self, id: str, kind: str, lat: float, lon: float) -> None:
        """Add a point, or move it."""
        square = (kind, *self._square(lat, lon))
        before = self._at.get(id)
        if before == square:
            return
        if before is not None:
            self._squares[before].discard(id)
        self._squares.setdefault(square, set()).add(id)
        self._at[id] = square

    def remove(self, id: str) -> None:
        """Forget a point."""
        square = self._at.pop(id)
        self._squares[square].discard(id)
        if not self._squares[square]:
            del self._squares[square]

    def near(self, kind: str, lat: float, lon: float, reach_m: float) -> Iterator[str]:
        """Ids of the points of a kind in the squares within reach, in a fixed order."""
        row, column = self._square(lat, lon)
        rows = math.ceil(reach_m / 50.0)
        columns = math.ceil(reach_m / 50.0 / max(0.05, math.cos(math.radians(lat))))
        for r in range(row - rows, row + rows + 1):
            for c in range(column - columns, column + columns + 1):
                if found := self._squares.get((kind, r, c)):
                    yield from sorted(found)

    def _square(self, lat: float, lon: float) -> tuple[int, int]:
        return math.floor(lat / self.STEP_DEG), math.floor(lon / self.STEP_DEG)


def _inverse(ee: float, en: float, nn: float) -> Covariance:
    """Of a symmetric matrix of two axes, east and north."""
    determinant = ee * nn - en * en
    return nn / determinant, -en / determinant, ee / determinant


def _variance(sighting: Sighting) -> float:
    return sighting.covariance_m2[0] + sighting.covariance_m2[2]


def _enu(sighting: Sighting, lat: float, lon: float) -> tuple[float, float]:
    return offset_from_latlon(sighting.lat, sighting.lon, lat, lon)
