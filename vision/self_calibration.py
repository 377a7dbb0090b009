"""Self-calibration: a camera's pitch and yaw from a drive, or the reason why its pictures do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ingest.frame import Frame
from ingest.geo import Floats
from ingest.rejected import Rejected
from ingest.source import Row
from vision.camera import Camera
from vision.matching import Points, matched, points_of
from vision.mounting_angles import Angle, Angles, angles
from vision.pair_motion import Motion, Useless, pair_motion
from vision.straight import Pair, straight_pairs

MIN_PAIRS = 12
MIN_STRETCHES = 6
MAX_PAIRS = 150  # more would add time and little else
MAX_WAY_SIGMA = 0.05  # radians, of one pair's way
MAX_BEND_DEG_PER_M = 0.5  # a radius of 115 m
MIN_AGREE = 0.6  # of the pairs
MAX_SPREAD_DEG = 3.0  # of one pair
MAX_SIGMA_DEG = 1.0  # a worse angle is not told
UNCLEAR = "which way the camera went is not clear"
TURNED = "turning, as the pictures show"
UNREADABLE = "the picture cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a drive tells of one camera. Without an angle `refused` says why."""

    vehicle: str
    camera: str
    declared: Camera
    pictures: int
    pairs: int  # looked at
    told: int  # of them, those that tell which way the camera went
    used: int = 0  # of them, those that agree
    stretches: int = 0
    left_out: dict[str, int] = field(default_factory=dict)  # pictures and pairs, by reason
    pitch: Angle | None = None
    yaw: Angle | None = None
    roll: Angle | None = None
    refused: str | None = None

    @property
    def found(self) -> dict[str, float]:
        """The fields of the camera that are known now, as cameras.toml has them."""
        out: dict[str, float] = {}
        for name, angle in (("pitch", self.pitch), ("yaw", self.yaw), ("roll", self.roll)):
            if angle is not None:
                out[f"{name}_deg"] = round(angle.deg, 2)
                if name != "roll":
                    out[f"{name}_sigma_deg"] = round(angle.sigma_deg, 2)
        return out


def chosen(rows: Sequence[Row]) -> tuple[list[Pair], Counter[str]]:
    """The pairs of one camera to look at, spread over the drive, and why other pictures are none."""
    pairs, idle = straight_pairs(rows)
    if len(pairs) > MAX_PAIRS:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, MAX_PAIRS).round().astype(int).tolist()]
    return pairs, idle


def rows_of(pairs: Iterable[Pair]) -> tuple[Row, ...]:
    """The rows whose pictures are needed, in order of time."""
    needed = {row.id: row for pair in pairs for row in (pair.before, pair.after)}
    return tuple(sorted(needed.values(), key=lambda row: row.time))


def calibrated(
    rows: Sequence[Row], pairs: Sequence[Pair], idle: Counter[str], frames: Iterable[Frame | Rejected], camera: Camera
) -> Calibration:
    """The camera of `rows`, from the pictures of `rows_of(pairs)` in that order. Raises ValueError without a row."""
    if not rows:
        raise ValueError("no picture of that camera")
    moved, lost = _motions(pairs, frames, camera)
    return verdict(rows, pairs, idle + lost, moved, camera)


def verdict(
    rows: Sequence[Row],
    pairs: Sequence[Pair],
    left_out: Counter[str],
    moved: Sequence[tuple[Pair, Motion]],
    camera: Camera,
) -> Calibration:
    """What the motions of pairs come to."""
    stretches = len({pair.stretch for pair, _ in moved})
    found = None
    refused = _too_few(len(rows), len(pairs), len(moved), stretches, left_out)
    if refused is None:
        told = [motion for _, motion in moved]
        found = angles(told, [pair.distance_m for pair, _ in moved], [pair.stretch for pair, _ in moved], camera)
        refused = _doubtful(found, len(moved))
    return Calibration(
        vehicle=rows[0].vehicle,
        camera=rows[0].camera,
        declared=camera,
        pictures=len(rows),
        pairs=len(pairs),
        told=len(moved),
        used=0 if found is None else found.used,
        stretches=stretches,
        left_out=dict(left_out.most_common()),
        pitch=_sure(found.pitch) if found and not refused else None,
        yaw=_sure(found.yaw) if found and not refused else None,
        roll=_sure(found.roll) if found and not refused else None,
        refused=refused,
    )


def _sure(angle: Angle | None) -> Angle | None:
    return angle if angle is not None and angle.sigma_deg <= MAX_SIGMA_DEG else None


def _too_few(pictures: int, pairs: int, told: int, stretches: int, why: Counter[str]) -> str | None:
    reasons = "; ".join(f"{count} {reason}" for reason, count in why.most_common(3))
    tail = f" ({reasons})" if reasons else ""
    if pairs < MIN_PAIRS:
        return (
            f"only {pairs} of {pictures} pictures have another one soon after on a straight drive, "
            f"{MIN_PAIRS} are needed{tail}"
        )
    if told < MIN_PAIRS:
        return f"only {told} of {pairs} pairs of pictures tell which way the camera went, {MIN_PAIRS} are needed{tail}"
    if stretches < MIN_STRETCHES:
        return f"the pairs lie on {stretches} stretches of road, {MIN_STRETCHES} are needed: drive farther{tail}"
    return None


def _doubtful(found: Angles, told: int) -> str | None:
    if found.used < max(MIN_PAIRS, MIN_AGREE * told):
        return f"the pictures contradict each other: only {found.used} of {told} pairs agree"
    if max(found.spread_deg) > MAX_SPREAD_DEG:
        return f"the pictures contradict each other: from pair to pair the camera turns by {max(found.spread_deg):.1f}°"
    if all(angle is None or _sure(angle) is None for angle in (found.yaw, found.pitch, found.roll)):
        return f"the angles are not sure enough: yaw ±{found.yaw.sigma_deg:.1f}°"
    return None


def _motions(
    pairs: Sequence[Pair], frames: Iterable[Frame | Rejected], camera: Camera
) -> tuple[list[tuple[Pair, Motion]], Counter[str]]:
    """The pairs that tell, and why others do not. Keeps the points of two pictures at a time."""
    moved: list[tuple[Pair, Motion]] = []
    lost: Counter[str] = Counter()
    waiting = iter(frames)
    at: dict[str, tuple[Points, tuple[int, int]] | None] = {}
    for pair in pairs:
        at = {row.id: at[row.id] for row in (pair.before, pair.after) if row.id in at}
        for row in (pair.before, pair.after):
            if row.id not in at:
                at[row.id] = _read(next(waiting, None))
        motion = _motion(at[pair.before.id], at[pair.after.id], pair, camera)
        if isinstance(motion, Motion):
            moved.append((pair, motion))
        else:
            lost[motion] += 1
    return moved, lost


def _read(frame: Frame | Rejected | None) -> tuple[Points, tuple[int, int]] | None:
    return points_of(frame.jpeg) if isinstance(frame, Frame) else None


def _motion(
    before: tuple[Points, tuple[int, int]] | None,
    after: tuple[Points, tuple[int, int]] | None,
    pair: Pair,
    camera: Camera,
) -> Motion | str:
    if before is None or after is None or before[1] != after[1]:
        return UNREADABLE
    size = before[1]
    a, b = matched(before[0], after[0])
    motion = pair_motion(plane(a, size, camera), plane(b, size, camera), camera.focal_px(size[0]))
    return motion.value if isinstance(motion, Useless) else usable(motion, pair.distance_m)


def usable(motion: Motion, distance_m: float) -> Motion | str:
    """The motion, or why it is not used."""
    if np.trace(motion.covariance) > MAX_WAY_SIGMA**2:
        return UNCLEAR
    if np.degrees(np.linalg.norm(motion.turn)) > MAX_BEND_DEG_PER_M * distance_m + 1.0:  # it nods, too
        return TURNED
    return motion


def plane(uv: Floats, size_wh: tuple[int, int], camera: Camera) -> Floats:
    """Pixels (N, 2) as points at z = 1, without distortion and declared roll."""
    focal = camera.focal_px(size_wh[0])
    x, y = camera.unrolled((uv[:, 0] - size_wh[0] / 2) / focal, (uv[:, 1] - size_wh[1] / 2) / focal)
    return np.stack([x, y], axis=1)
