"""Made-up streets for cameras to drive through: points with noise and traffic, or textured walls and road."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vision.camera import Camera

SIZE_WH = (1280, 720)


def camera_from_level(camera: Camera) -> np.ndarray:
    """(3, 3) from (right, down, forward) of the vehicle to the camera's x, y, z: written apart from the product's."""

    def about(axis: int, deg: float) -> np.ndarray:
        turn = np.zeros(3)
        turn[axis] = math.radians(deg)
        return np.asarray(cv2.Rodrigues(turn)[0])

    # A camera turned clockwise sees the street turned the other way, one that looks up sees it lower.
    return about(2, -camera.roll_deg) @ about(0, -camera.pitch_deg) @ about(1, -camera.yaw_deg)


def pixels(street: np.ndarray, lens: np.ndarray, heading_deg: float, camera: Camera) -> np.ndarray:
    """(N, 2) where points (right, down, forward) of a street show to a lens in it; nan behind it."""
    level = replace(camera, yaw_deg=camera.yaw_deg + heading_deg)
    x, y, z = camera_from_level(level) @ (street - lens).T
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = np.where(z > 0.2, x / z, np.nan), np.where(z > 0.2, y / z, np.nan)
    r2 = x * x + y * y
    stretch = 1 + camera.k1 * r2 + camera.k2 * r2 * r2
    focal = camera.focal_px(SIZE_WH[0])
    return np.stack([SIZE_WH[0] / 2 + focal * x * stretch, SIZE_WH[1] / 2 + focal * y * stretch], axis=1)


@dataclass(frozen=True)
class Way:
    """One camera's lens along a drive: (N, 3) right, down, forward; and what the vehicle's front points to."""

    lens: np.ndarray
    heading_deg: np.ndarray  # clockwise
    nod_deg: np.ndarray  # up


def straight_way(random: np.random.Generator, frames: int, step_m: float, *, nod_deg: float = 0.4) -> Way:
    """A vehicle that keeps its lane by small turns of the wheel, nods and sways."""
    bend = _slow(random, frames, step_m, 40.0) * 0.05  # degrees a metre
    heading = np.cumsum(bend) * step_m
    heading -= np.linspace(heading[0], heading[-1], frames)
    toward = np.radians(heading)
    lens = np.stack([np.cumsum(np.sin(toward)), np.zeros(frames), np.cumsum(np.cos(toward))], axis=1) * step_m
    lens[:, 1] = 0.01 * _slow(random, frames, step_m, 5.0)
    return Way(lens, heading, nod_deg * _slow(random, frames, step_m, 10.0))


def _slow(random: np.random.Generator, count: int, step_m: float, last_m: float) -> np.ndarray:
    """Noise of sigma 1 that lasts for some metres."""
    keep = math.exp(-step_m / last_m)
    out = [random.normal()]
    for _ in range(count - 1):
        out.append(keep * out[-1] + math.sqrt(1 - keep**2) * random.normal())
    return np.array(out)


def seen_pair(
    random: np.random.Generator, way: Way, i: int, camera: Camera, *, noise_px: float = 0.5, wrong: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and (N, 2) of what frames i and i + 1 both show; a part of them is matched wrongly."""
    count = 1000 if abs(camera.yaw_deg) < 45 else 5000  # a camera that looks across shows little of the street
    depth = random.uniform(-15, 70, count)
    side = random.choice([-1.0, 1.0], count)
    facade = np.stack([side * random.uniform(6, 14, count), random.uniform(-10, 1.4, count), depth], axis=1)
    road = np.stack([random.uniform(-8, 8, count), np.full(count, camera.height_m), depth], axis=1)
    street = np.where((random.random(count) < 0.7)[:, None], facade, road) + way.lens[i] * (1, 0, 1)
    views = []
    for k in (i, i + 1):
        nodding = replace(camera, pitch_deg=camera.pitch_deg + way.nod_deg[k] * math.cos(math.radians(camera.yaw_deg)))
        views.append(pixels(street, way.lens[k], way.heading_deg[k], nodding))
    inside = np.ones(count, bool)
    for uv in views:
        with np.errstate(invalid="ignore"):
            inside &= (uv > 0).all(axis=1) & (uv < SIZE_WH).all(axis=1)
    a, b = (uv[inside] + random.normal(0, noise_px, (int(inside.sum()), 2)) for uv in views)
    strays = random.random(len(b)) < wrong
    b[strays] += random.normal(0, 30, (int(strays.sum()), 2))
    return a, b


TEXTURE_PX_PER_M = 40.0
SMOOTH = (0.3, 1.5, 3.0)  # texture pixels


@dataclass(frozen=True)
class Wall:
    """A textured plane: points corner + s * along + t * down, (s, t) in metres."""

    corner: np.ndarray
    along: np.ndarray
    down: np.ndarray
    textures: list[np.ndarray]  # the same, smoother and smoother


def street_of(pictures: list[np.ndarray], length_m: float, random: np.random.Generator) -> list[Wall]:
    """A street between walls of real photographs; the road is of their lower parts."""

    def strip(height_m: float, part: slice) -> list[np.ndarray]:
        size = (round(8 * TEXTURE_PX_PER_M), round(height_m * TEXTURE_PX_PER_M))
        count = math.ceil((length_m + 60) / 8)
        chosen = [pictures[i] for i in random.integers(0, len(pictures), count)]
        whole = np.hstack([cv2.resize(picture[part], size, interpolation=cv2.INTER_AREA) for picture in chosen])
        return [cv2.GaussianBlur(whole, (0, 0), sigma) for sigma in SMOOTH]

    ahead = np.array([0.0, 0.0, 1.0])
    down, right = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    walls = [Wall(np.array([side, -8.0, -10.0]), ahead, down, strip(9.6, slice(None))) for side in (-9.0, 8.0)]
    walls.append(Wall(np.array([-9.0, 1.6, -10.0]), ahead, right, strip(17.0, slice(240, None))))
    return walls


def rendered(
    walls: list[Wall], lens: np.ndarray, heading_deg: float, camera: Camera, size: tuple[int, int]
) -> np.ndarray:
    """What the camera shows, ray by ray; the lens's distortion is undone by OpenCV's own arithmetic."""
    width, height = size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    focal = camera.focal_px(width)
    shown = np.stack([(u.ravel() - width / 2) / focal, (v.ravel() - height / 2) / focal], axis=1)
    plain = cv2.undistortPoints(shown[:, None], np.eye(3), np.array([camera.k1, camera.k2, 0.0, 0.0]))[:, 0]
    rays = np.concatenate([plain, np.ones((len(plain), 1))], axis=1)
    rays = rays @ camera_from_level(replace(camera, yaw_deg=camera.yaw_deg + heading_deg))
    out = np.full((height * width, 3), 200, np.uint8)
    nearest = np.full(height * width, 80.0)
    for wall in walls:
        normal = np.cross(wall.along, wall.down)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = ((wall.corner - lens) @ normal) / (rays @ normal)
        spot = lens + reach[:, None] * rays - wall.corner
        st = np.stack([spot @ wall.along, spot @ wall.down], axis=1).astype(np.float32) * TEXTURE_PX_PER_M
        rows, columns = wall.textures[0].shape[:2]
        hit = (reach > 0.3) & (reach < nearest) & (st >= 0).all(axis=1) & (st < (columns - 1, rows - 1)).all(axis=1)
        if hit.any():
            out[hit] = _sampled(wall.textures, st[hit], reach[hit], focal)
            nearest[hit] = reach[hit]
    return out.reshape(height, width, 3)


def _sampled(textures: list[np.ndarray], st: np.ndarray, reach: np.ndarray, focal: float) -> np.ndarray:
    """Textures at points, smoothed the more the farther they are away, as a lens and its pixels do."""
    out = np.zeros((len(st), 3), np.uint8)
    covered = TEXTURE_PX_PER_M * reach / focal  # texture pixels in a picture pixel
    for texture, low, high in zip(textures, (0.0, *SMOOTH[1:]), (*SMOOTH[1:], np.inf), strict=True):
        band = np.flatnonzero((covered >= low) & (covered < high))
        for first in range(0, len(band), 30000):  # OpenCV's pictures end at 32767 pixels
            part = band[first : first + 30000]
            s, t = st[part, :1].copy(), st[part, 1:].copy()
            out[part] = cv2.remap(texture, s, t, cv2.INTER_LINEAR)[:, 0]
    return out
