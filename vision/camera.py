"""Camera: how one camera of a vehicle sees the road.

Frames of reference
    picture   (u, v) in pixels, right and down from the top left corner
    camera    x right, y down, z along the optical axis
    unrolled  the camera turned back about its axis: x level, y down, z along the axis; points (x, y) at z = 1
    vehicle   (forward, right) in metres on the road, seen from the lens's foot point, along the camera's own bearing
    ground    (east, north) in metres
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import numpy as np

from ingest.geo import Floats

XY = TypeVar("XY", float, Floats)  # one coordinate, or an array of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera on a level vehicle: a pinhole, with radial distortion after Brown where it is told."""

    hfov_deg: float  # horizontal field of view of the whole picture
    height_m: float  # lens above the road
    pitch_deg: float  # up is positive
    yaw_deg: float  # clockwise from the vehicle's heading
    roll_deg: float = 0.0  # clockwise, seen from behind the camera
    k1: float = 0.0  # distortion: a point at r from the axis shows at r * (1 + k1 r² + k2 r⁴), below 0 for a barrel
    k2: float = 0.0
    pitch_sigma_deg: float = 0.0  # how sure the mounting is, beside what every vehicle nods
    yaw_sigma_deg: float = 0.0
    ahead_m: float = 0.0  # the lens from the antenna of the receiver, along the vehicle ...
    right_m: float = 0.0  # ... and across it

    def focal_px(self, width_px: int) -> float:
        """Of the lens's middle. The edges of the picture are `hfov_deg` apart also through a lens that distorts."""
        edge = math.tan(math.radians(self.hfov_deg) / 2)
        if self.k1 == 0 == self.k2:
            return width_px / 2 / edge
        return width_px / 2 / (edge * _stretch(edge * edge, self.k1, self.k2))

    def lens_enu(self, heading_deg: float) -> Floats:
        """(2,) east and north of the lens from the antenna, metres."""
        if not (self.ahead_m or self.right_m):
            return np.zeros(2)  # most: asked for every frame
        return ground_from_road(np.array([[self.ahead_m, self.right_m]]), heading_deg).reshape(2)

    @property
    def is_plain(self) -> bool:
        """Neither rolled nor distorted: most are, and need less arithmetic."""
        return self.roll_deg == 0 and self.k1 == 0 == self.k2

    def unrolled(self, x: XY, y: XY) -> tuple[XY, XY]:
        """The unrolled point of what shows at (x, y) from the middle of the picture, in focal lengths."""
        if self.k1 or self.k2:
            scale = _undistortion(x * x + y * y, self.k1, self.k2)
            x, y = x * scale, y * scale
        sin, cos = math.sin(math.radians(self.roll_deg)), math.cos(math.radians(self.roll_deg))
        return x * cos - y * sin, x * sin + y * cos

    def shown(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where unrolled points show. The inverse of `unrolled`; nan beyond what the distortion is told for."""
        sin, cos = math.sin(math.radians(self.roll_deg)), math.cos(math.radians(self.roll_deg))
        x, y = x * cos + y * sin, y * cos - x * sin
        r2 = x * x + y * y
        with np.errstate(over="ignore", invalid="ignore"):
            scale = np.where(_slope(r2, self.k1, self.k2) > 0, _stretch(r2, self.k1, self.k2), np.nan)
            return x * scale, y * scale


def _stretch(r2: XY, k1: float, k2: float) -> XY:
    return 1 + r2 * (k1 + r2 * k2)


def _slope(r2: XY, k1: float, k2: float) -> XY:
    """How fast a point moves outward in the picture as its ray does."""
    return 1 + r2 * (3 * k1 + 5 * k2 * r2)


def _undistortion(r2: XY, k1: float, k2: float) -> XY:
    """What brings a shown point at r from the middle back: Newton's method, from the outside so that it converges."""
    scale = r2 * 0 + 1.0
    for _ in range(12):
        inner = r2 * scale * scale
        scale = scale - (scale * _stretch(inner, k1, k2) - 1) / _slope(inner, k1, k2)
    return scale


# A windscreen dashcam of a bus or taxi looks slightly down; side cameras look square across the pavement.
DEFAULT_CAMERAS = {
    "front": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=0.0),
    "left": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=-90.0),
    "right": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=90.0),
}
# Where such vehicles carry a dashcam, for those whose cameras nobody measured: a bus's is above the roof of a car.
KINDS = {
    "bus": {"height_m": 2.2, "pitch_deg": -5.0, "pitch_sigma_deg": 2.0, "yaw_sigma_deg": 2.0},
    "taxi": {"height_m": 1.3, "pitch_deg": -1.0, "pitch_sigma_deg": 1.5, "yaw_sigma_deg": 2.0},
}
VEHICLE = "vehicle"  # the table of a cameras.toml that holds the vehicles with cameras of their own
LIMITS = {
    "hfov_deg": (10.0, 170.0),
    "height_m": (0.3, 6.0),
    "pitch_deg": (-60.0, 45.0),
    "yaw_deg": (-360.0, 360.0),
    "roll_deg": (-45.0, 45.0),
    "k1": (-1.0, 1.0),
    "k2": (-1.0, 1.0),
    "pitch_sigma_deg": (0.0, 10.0),
    "yaw_sigma_deg": (0.0, 10.0),
    "ahead_m": (-20.0, 20.0),
    "right_m": (-3.0, 3.0),
}
CORNER = 1.2  # of a picture of 3:2, from its middle, in halves of its width


@dataclass(frozen=True, slots=True)
class Cameras(Mapping[str, Camera]):
    """Cameras by name, and the vehicles that carry others under these names: by id, or by a pattern of ids."""

    every: Mapping[str, Camera] = field(default_factory=lambda: dict(DEFAULT_CAMERAS))
    own: Mapping[str, Mapping[str, Camera]] = field(default_factory=dict)  # vehicle, or pattern with * and ? -> by name

    def __getitem__(self, name: str) -> Camera:
        return self.every[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.every)

    def __len__(self) -> int:
        return len(self.every)

    def of(self, vehicle: str, name: str) -> Camera | None:
        """A vehicle's camera: as its own table says, else the longest pattern that fits, else as of every vehicle."""
        fitting = sorted((p for p in self.own if fnmatchcase(vehicle, p)), key=lambda p: (p == vehicle, len(p), p))
        found = next((self.own[p][name] for p in reversed(fitting) if name in self.own[p]), None)
        return self.every.get(name) if found is None else found


def read_cameras(path: Path) -> Cameras:
    """The cameras of a cameras.toml on top of the defaults. Raises ValueError that names the field."""
    try:
        doc = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    vehicles = doc.pop(VEHICLE, {})
    every = DEFAULT_CAMERAS | {name: _camera(f"{path.name} [{name}]", name, table) for name, table in doc.items()}
    if not isinstance(vehicles, dict):
        raise ValueError(f'{path.name}: {VEHICLE} must hold tables, such as [{VEHICLE}."bus-*".front]')
    return Cameras(every, {id: _own(f"{path.name} [{VEHICLE}.{id}", table, every) for id, table in vehicles.items()})


def _own(where: str, table: object, every: Mapping[str, Camera]) -> dict[str, Camera]:
    """The cameras of one vehicle, or of those of a pattern. `kind` says how all of them are mounted by default."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}]: expected tables by camera, or kind")
    tables = dict(table)
    kind = tables.pop("kind", None)
    if kind is not None and kind not in KINDS:
        raise ValueError(f"{where}]: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    usual = {} if kind is None else KINDS[kind]
    names = tables if kind is None else every.keys() | tables.keys()
    return {name: _own_camera(f"{where}.{name}]", name, tables.get(name, {}), usual, every) for name in sorted(names)}


def _own_camera(
    where: str, name: str, table: object, usual: Mapping[str, float], every: Mapping[str, Camera]
) -> Camera:
    base = every.get(name, DEFAULT_CAMERAS["front"])
    mounted = {name: usual.get(name, getattr(base, name)) for name in LIMITS}
    return _camera(where, name, mounted | table if isinstance(table, dict) else table)


def _camera(where: str, name: str, table: object) -> Camera:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table with {', '.join(LIMITS)}")
    base = DEFAULT_CAMERAS.get(name, DEFAULT_CAMERAS["front"])
    values = {one: table.get(one, getattr(base, one)) for one in LIMITS}
    for one, value in values.items():
        low, high = LIMITS[one]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{where}: {one} must be a number from {low:g} to {high:g}, got {value!r}")
    camera = Camera(**{one: float(value) for one, value in values.items()})
    edge = CORNER * math.tan(math.radians(camera.hfov_deg) / 2)
    if min(float(_slope(r * r, camera.k1, camera.k2)) for r in np.linspace(0, edge, 50)) <= 0:
        raise ValueError(f"{where}: k1 and k2 fold the picture's corners inward: they are of another lens")
    return camera


def camera_of(vehicle: str, name: str, told: Mapping[str, float], known: Mapping[str, Camera]) -> Camera:
    """The camera of a frame: as its own sender says that it is mounted, else as it is known by vehicle and name.

    Raises ValueError for one that nobody describes, or that cannot be so.
    """
    if told:
        return _camera("the frame's camera", name, dict(told))
    found = known.of(vehicle, name) if isinstance(known, Cameras) else known.get(name)
    if found is None:
        names = ", ".join(sorted(known))
        raise ValueError(f"camera {name!r} is not described: cameras.toml or the defaults know {names}")
    return found


def road_from_picture(
    uv: Floats,
    size_wh: tuple[int, int],
    camera: Camera,
    *,
    pitch_deg: Floats | None = None,
    height_m: Floats | None = None,
) -> Floats:
    """Where the rays through pixels (N, 2) meet a level road: (N, 2) metres forward, right; inf in the sky.

    Pitch and height are the camera's unless given, (N,), one for each pixel.
    """
    width, height = size_wh
    focal = camera.focal_px(width)
    pitch = np.radians(camera.pitch_deg if pitch_deg is None else pitch_deg)
    x = (uv[:, 0] - width / 2) / focal
    y = (uv[:, 1] - height / 2) / focal
    if not camera.is_plain:
        x, y = camera.unrolled(x, y)
    forward = np.cos(pitch) + y * np.sin(pitch)
    down = y * np.cos(pitch) - np.sin(pitch)
    lens_m = camera.height_m if height_m is None else height_m
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(down > 1e-9, lens_m / down, np.inf)
        out = np.stack([scale * forward, scale * x], axis=1)
    out[~np.isfinite(scale)] = np.inf
    return out


def picture_from_road(road: Floats, size_wh: tuple[int, int], camera: Camera) -> Floats:
    """Pixels (N, 2) of road points (N, 2), forward and right in metres; nan behind the lens. Inverse of the above."""
    width, height = size_wh
    focal, pitch = camera.focal_px(width), math.radians(camera.pitch_deg)
    z = road[:, 0] * math.cos(pitch) - camera.height_m * math.sin(pitch)
    y = road[:, 0] * math.sin(pitch) + camera.height_m * math.cos(pitch)
    with np.errstate(divide="ignore", invalid="ignore"):
        uv = np.stack([width / 2 + focal * road[:, 1] / z, height / 2 + focal * y / z], axis=1)
        if not camera.is_plain:
            x, y = camera.shown(road[:, 1] / z, y / z)
            uv = np.stack([width / 2 + focal * x, height / 2 + focal * y], axis=1)
    uv[z <= 0.05] = np.nan
    return uv


def ground_from_road(road: Floats, bearing_deg: float) -> Floats:
    """(N, 2) east and north of points given forward and right of a bearing, clockwise from north."""
    s, c = math.sin(math.radians(bearing_deg)), math.cos(math.radians(bearing_deg))
    return np.stack([road[:, 0] * s + road[:, 1] * c, road[:, 0] * c - road[:, 1] * s], axis=1)


def road_from_ground(ground: Floats, bearing_deg: float) -> Floats:
    """(N, 2) forward and right of points given east and north. The inverse of `ground_from_road`."""
    s, c = math.sin(math.radians(bearing_deg)), math.cos(math.radians(bearing_deg))
    return np.stack([ground[:, 0] * s + ground[:, 1] * c, ground[:, 0] * c - ground[:, 1] * s], axis=1)
