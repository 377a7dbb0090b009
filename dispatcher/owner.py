"""Owner: whose a position is, as the probability mass of its error ellipse in each area."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import shapely
from scipy.special import owens_t
from shapely import box

from dispatcher.area import Area, Areas
from dispatcher.case import Share
from dispatcher.polygon import Surface, outline, surface
from ingest.geo import Floats, m_per_deg
from vision.sighting import Covariance

CERTAIN_SIGMA = 4.0  # a box this wide holds all but 0.013 % of the mass
REACH_SIGMA = 6.0  # beyond it no area can reach MIN_SHARE
MIN_SIGMA_M = 0.01  # an ellipse thinner than a finger is rounding, and would divide by zero
MIN_SHARE = 0.001
UNIT = 10_000  # shares are told to 4 decimals
# Below one in ten the thing is almost surely outside every area we know: telling an office would be a guess.
MIN_OWNED = 0.10
# From one in four on, an office has a fair chance that the thing is its own. As shares sum to at most 1, the most
# probable one then has at most 0.75 and leads by at most 0.5: a close call needs no second limit.
MIN_CO_NOTIFIED = 0.25


def owners(areas: Areas, lat: float, lon: float, covariance_m2: Covariance) -> tuple[Share, ...]:
    """The shares of a Gaussian position in the areas of the routing layer, most probable first, ties by code.

    Covariance in m² on the plane east, north. Exact but for the 4 decimals; the sum is at most 1 and what is missing
    is unowned. Where n polygons of the layer overlap, each counts 1/n. Shares under 0.001 are left out.
    """
    bounds = _bounds(lat, lon, covariance_m2, CERTAIN_SIGMA)
    alone = areas.alone(*bounds)
    if alone is not None:
        return (Share(alone.code, 1.0),)
    certain = box(*bounds)
    near = areas.routing_near(certain)
    if len(near) == 1 and shapely.covers(near[0].polygon, certain):
        return (Share(near[0].code, 1.0),)
    reach = box(*_bounds(lat, lon, covariance_m2, REACH_SIGMA))
    near = areas.routing_near(reach)
    gaussian = Gaussian.of(lat, lon, covariance_m2)
    if any(areas.overlap(a, b) for a, b in combinations(near, 2)):
        return _told({area.code: _mass(areas, area, near, reach, gaussian) for area in near})
    masses = gaussian.masses([areas.outline(area) for area in near])
    return _told({area.code: mass for area, mass in zip(near, masses, strict=True)})


def recipients(shares: Sequence[Share]) -> tuple[str, ...]:
    """Whom to tell: the most probable owner, and on a close call on a boundary the others too. () is unowned."""
    if not shares or shares[0].p < MIN_OWNED:
        return ()
    return (shares[0].area, *(share.area for share in shares[1:] if share.p >= MIN_CO_NOTIFIED))


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A position and its error."""

    lat: float
    lon: float
    whitened_from_deg: Floats  # (2, 2): (lon, lat) degrees from the position -> units of one sigma, uncorrelated

    @classmethod
    def of(cls, lat: float, lon: float, covariance_m2: Covariance) -> Gaussian:
        """A covariance that is singular by rounding is widened to MIN_SIGMA_M."""
        east_east, east_north, north_north = covariance_m2
        variance, axes = np.linalg.eigh(np.array([[east_east, east_north], [east_north, north_north]]))
        whitened_from_m = axes.T / np.sqrt(np.maximum(variance, MIN_SIGMA_M**2))[:, None]
        per_lat, per_lon = m_per_deg(lat)
        whitened_from_deg = whitened_from_m * np.array([per_lon, per_lat])
        if np.linalg.det(whitened_from_deg) < 0:  # a mirror would turn every ring round
            whitened_from_deg = whitened_from_deg[::-1]
        return cls(lat, lon, whitened_from_deg)

    def masses(self, outlines: Sequence[Floats]) -> list[float]:
        """The probability that the position lies in each polygon, by its outline; exact.

        In polar coordinates the mass of a standard normal is the integral of (1 - exp(-r²/2)) dθ / 2π round the
        border (Green's theorem). Along one edge at distance d that is an angle less a difference of Owen's T.
        """
        if not outlines:
            return []
        ends = (np.concatenate(outlines) - (self.lon, self.lat)) @ self.whitened_from_deg.T
        start, step = ends[:, 0], ends[:, 1] - ends[:, 0]
        length = np.hypot(step[:, 0], step[:, 1])
        along = np.divide(step, length[:, None], out=np.zeros_like(step), where=length[:, None] > 0)
        offset = start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0]  # > 0: the position is left of the edge
        foot = (start * along).sum(axis=1)
        away = np.abs(offset)
        turned = np.sign(offset) * (_swept(away, foot + length) - _swept(away, foot))
        first = np.cumsum([0, *(len(outline) for outline in outlines[:-1])])
        masses: list[float] = np.add.reduceat(turned, first).tolist()
        return masses


def _swept(distance: Floats, along: Floats) -> Floats:
    """The integral of (1 - exp(-r²/2)) dθ / 2π along a line, from its foot to a point `along` it (signed).

    `distance` of the line from the origin is never negative; a line through the origin sweeps no angle.
    """
    angle = np.arctan2(along, distance)
    slope = np.divide(along, distance, out=np.zeros_like(along), where=distance > 0)
    return np.where(distance > 0, angle / (2 * math.pi) - owens_t(distance, slope), 0.0)


def _mass(areas: Areas, area: Area, near: Sequence[Area], reach: shapely.Geometry, gaussian: Gaussian) -> float:
    """The area's part of the mass: pieces that n polygons cover count 1/n."""
    pieces: list[tuple[Surface, int]] = [(area.polygon, 1)]
    for other in near:
        if other is area or not areas.overlap(area, other):
            continue
        split = []
        for piece, covered in pieces:
            local = shapely.intersection(piece, reach)
            split.append((surface(shapely.intersection(local, other.polygon)), covered + 1))
            split.append((surface(shapely.difference(local, other.polygon)), covered))
        pieces = [(piece, covered) for piece, covered in split if not piece.is_empty]
    masses = gaussian.masses([outline(piece) for piece, _ in pieces])
    return sum(mass / covered for mass, (_, covered) in zip(masses, pieces, strict=True))


def _told(shares: dict[str, float]) -> tuple[Share, ...]:
    """Rounded, in order, and never more than 1 together."""
    units = {code: round(p * UNIT) for code, p in shares.items() if p >= MIN_SHARE}
    ranked = _ranked(units)
    while sum(units[code] / UNIT for code in ranked) > 1.0:
        units[ranked[0]] -= 1
        ranked = _ranked(units)  # of two that were equal the other one leads now
    return tuple(Share(code, units[code] / UNIT) for code in ranked)


def _ranked(units: dict[str, int]) -> list[str]:
    return sorted(units, key=lambda code: (-units[code], code))


def _bounds(lat: float, lon: float, covariance_m2: Covariance, sigmas: float) -> tuple[float, float, float, float]:
    """West, south, east, north in degrees of a box that many sigmas each way."""
    per_lat, per_lon = m_per_deg(lat)
    east = sigmas * max(math.sqrt(max(covariance_m2[0], 0.0)), MIN_SIGMA_M) / per_lon
    north = sigmas * max(math.sqrt(max(covariance_m2[2], 0.0)), MIN_SIGMA_M) / per_lat
    return lon - east, lat - north, lon + east, lat + north
