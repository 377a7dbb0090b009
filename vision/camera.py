"""Camera: how one camera of a vehicle sees the road.

Frames of reference
    picture   (u, v) in pixels, right and down from the top left corner
    camera    x right, y down, z along the optical axis
    vehicle   (forward, right) in metres on the road, seen from the lens's foot point, along the camera's own bearing
    ground    (east, north) in metres
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.geo import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera on a level vehicle, without distortion."""

    hfov_deg: float  # horizontal field of view of the whole picture
    height_m: float  # lens above the road
    pitch_deg: float  # up is positive
    yaw_deg: float  # clockwise from the vehicle's heading

    def focal_px(self, width_px: int) -> float:
        return width_px / 2 / math.tan(math.radians(self.hfov_deg) / 2)


# A windscreen dashcam of a bus or taxi looks slightly down; side cameras look square across the pavement.
DEFAULT_CAMERAS = {
    "front": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=0.0),
    "left": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=-90.0),
    "right": Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=90.0),
}
LIMITS = {"hfov_deg": (10.0, 170.0), "height_m": (0.3, 6.0), "pitch_deg": (-60.0, 45.0), "yaw_deg": (-360.0, 360.0)}


def read_cameras(path: Path) -> dict[str, Camera]:
    """The cameras of a cameras.toml on top of the defaults. Raises ValueError that names the field."""
    try:
        doc = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    return DEFAULT_CAMERAS | {name: _camera(f"{path.name} [{name}]", name, table) for name, table in doc.items()}


def _camera(where: str, name: str, table: object) -> Camera:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table with {', '.join(LIMITS)}")
    base = DEFAULT_CAMERAS.get(name, DEFAULT_CAMERAS["front"])
    values = {field: table.get(field, getattr(base, field)) for field in LIMITS}
    for field, value in values.items():
        low, high = LIMITS[field]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{where}: {field} must be a number from {low:g} to {high:g}, got {value!r}")
    return Camera(**{field: float(value) for field, value in values.items()})


def camera_of(name: str, told: Mapping[str, float], known: Mapping[str, Camera]) -> Camera:
    """The camera of a frame: as its own sender says that it is mounted, else as it is known by its name.

    Raises ValueError for one that nobody describes, or that cannot be so.
    """
    if told:
        return _camera("the frame's camera", name, dict(told))
    if name not in known:
        names = ", ".join(sorted(known))
        raise ValueError(f"camera {name!r} is not described: cameras.toml or the defaults know {names}")
    return known[name]


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
