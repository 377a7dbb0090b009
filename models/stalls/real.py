"""Real pictures: their folds, and more of them by copy and paste.

`python -m models.stalls.real OUT --data STALLS --each 60` reads images/, labels/ and provenance.json of STALLS, and
writes, for every fold, so many pictures made of that fold's alone: mirrored, cropped, and with stalls of that fold set
into other pictures of it. A group (a drive, a walk, a series) is in one fold only, so that nothing of what a model is
measured on was ever part of what it learned from.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.stalls.blend import Image, read_image
from models.stalls.compose import Scene, write
from models.stalls.street import Box, clipped, hidden_share

FOLDS = 3
MARGIN = 0.06  # of a box's size: what is copied around it, and fades
HORIZON = 0.45  # of the height: assumed, to move a stall nearer or farther
WIDTH_PX = 640
TRIES = 10  # to find a part that cuts no stall in two


@dataclass(frozen=True, slots=True)
class Real:
    """A labelled picture."""

    path: Path
    group: str
    boxes: tuple[Box, ...]  # fractions of the picture

    @property
    def name(self) -> str:
        return self.path.stem


def read_real(data: Path) -> list[Real]:
    """Every picture of the set, by name."""
    out = []
    for row in json.loads((data / "provenance.json").read_text(encoding="utf8")):
        path = data / row["file"]
        label = data / "labels" / f"{path.stem}.txt"
        lines = label.read_text(encoding="utf8").split("\n") if label.is_file() else []
        out.append(Real(path, row["group"], tuple(_box(line) for line in lines if line.strip())))
    return sorted(out, key=lambda one: one.name)


def _box(line: str) -> Box:
    x, y, w, h = (float(word) for word in line.split()[1:])
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def folds(
    boxes_by_group: Mapping[str, int], pictures_by_group: Mapping[str, int], count: int = FOLDS
) -> dict[str, int]:
    """The fold of every group: the largest first, each to the fold with the fewest boxes, then the fewest pictures."""
    have = [[0, 0] for _ in range(count)]
    out = {}
    for group in sorted(pictures_by_group, key=lambda g: (-boxes_by_group.get(g, 0), -pictures_by_group[g], g)):
        boxes = boxes_by_group.get(group, 0)
        fold = min(range(count), key=lambda k: (have[k][0] if boxes else have[k][1], have[k][1], k))
        have[fold][0] += boxes
        have[fold][1] += pictures_by_group[group]
        out[group] = fold
    return out


def fold_of(real: Sequence[Real]) -> dict[str, int]:
    """The fold of every group of these pictures."""
    groups = sorted({one.group for one in real})
    boxes = {g: sum(len(one.boxes) for one in real if one.group == g) for g in groups}
    return folds(boxes, {g: sum(one.group == g for one in real) for g in groups})


def mixed(onto: Scene, source: Image, box: Box, rng: random.Random) -> None:
    """Set a stall of one picture into another at about its own distance from the camera, its edges fading."""
    height, width = onto.picture.shape[:2]
    factor = rng.uniform(0.6, 1.3)
    mx, my = MARGIN * (box[2] - box[0]), MARGIN * (box[3] - box[1])
    (x1, y1, x2, y2), _ = clipped(
        (box[0] - mx, box[1] - my, box[2] + mx, box[3] + my), (source.shape[1], source.shape[0])
    )
    patch = source[int(y1) : int(y2), int(x1) : int(x2)]
    if min(patch.shape[:2]) < 8:
        return
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    patch = np.asarray(cv2.resize(patch, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    horizon = HORIZON * height
    foot = horizon + max(box[3] / source.shape[0] * height - horizon, 4.0) * factor
    inner = ((box[0] - x1) * factor, (box[1] - y1) * factor, (box[2] - x1) * factor, (box[3] - y1) * factor)
    left, top = round(rng.uniform(0, max(width - patch.shape[1], 1))), round(foot - inner[3])
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
        inner = (patch.shape[1] - inner[2], inner[1], patch.shape[1] - inner[0], inner[3])
    placed, share = clipped((left + inner[0], top + inner[1], left + inner[2], top + inner[3]), (width, height))
    if share < 0.6 or any(hidden_share(other, placed) > 0.3 for other in onto.boxes):
        return
    _fade_in(onto, np.asarray(patch, np.uint8), left, top)
    onto.boxes.append(placed)


def _fade_in(onto: Scene, patch: Image, left: int, top: int) -> None:
    height, width = onto.picture.shape[:2]
    rows, columns = patch.shape[:2]
    edge = max(int(MARGIN * min(rows, columns)), 1)
    ramp = [np.minimum(np.minimum(np.arange(n) + 1, n - np.arange(n)) / edge, 1.0) for n in (rows, columns)]
    alpha = (ramp[0][:, None] * ramp[1][None, :])[..., None].astype(np.float32)
    a, b, c, d = max(left, 0), max(top, 0), min(left + columns, width), min(top + rows, height)
    if c <= a or d <= b:
        return
    part = (slice(b - top, d - top), slice(a - left, c - left))
    out = onto.picture.copy()
    out[b:d, a:c] = np.clip(patch[part] * alpha[part] + out[b:d, a:c] * (1 - alpha[part]), 0, 255).astype(np.uint8)
    onto.picture = out


def read_scene(one: Real) -> Scene:
    """A picture at the width that is learned from, and its boxes in pixels."""
    image = read_image(str(one.path))
    height = round(image.shape[0] * WIDTH_PX / image.shape[1])
    image = np.asarray(cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA), np.uint8)
    scale = (WIDTH_PX, height, WIDTH_PX, height)
    boxes = [(b[0] * scale[0], b[1] * scale[1], b[2] * scale[2], b[3] * scale[3]) for b in one.boxes]
    return Scene(image, boxes)


def cropped(scene: Scene, rng: random.Random) -> Scene:
    """A part of a picture, 55 to 100 % of it on each side, perhaps mirrored; no stall is cut to less than half."""
    height, width = scene.picture.shape[:2]
    for _ in range(TRIES):
        share = rng.uniform(0.55, 1.0)
        w, h = round(width * share), round(height * share)
        x, y = rng.randint(0, width - w), rng.randint(0, height - h)
        cut = [clipped((b[0] - x, b[1] - y, b[2] - x, b[3] - y), (w, h)) for b in scene.boxes]
        if all(seen == 0 or seen >= 0.5 for _, seen in cut):
            break
    else:
        x, y, w, h, cut = 0, 0, width, height, [(box, 1.0) for box in scene.boxes]
    picture, kept = scene.picture[y : y + h, x : x + w], [box for box, seen in cut if seen]
    if rng.random() < 0.5:
        picture, kept = picture[:, ::-1], [(w - b[2], b[1], w - b[0], b[3]) for b in kept]
    gain = rng.uniform(0.7, 1.25)
    return Scene(np.clip(picture.astype(np.float32) * gain, 0, 255).astype(np.uint8), kept)


def more(real: Sequence[Real], rng: random.Random) -> Scene:
    """One new picture out of those of a fold."""
    stalls = [one for one in real if one.boxes]
    onto = read_scene(rng.choice(real) if rng.random() < 0.6 else rng.choice(stalls))
    for _ in range(rng.choice((0, 1, 1, 2))):
        source = read_scene(rng.choice(stalls))
        mixed(onto, source.picture, rng.choice(source.boxes), rng)
    return cropped(onto, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--each", type=int, default=60, help="pictures a fold")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    real = read_real(args.data)
    fold = fold_of(real)
    for kind in ("images", "labels"):
        (args.out / kind).mkdir(parents=True, exist_ok=True)
    for k in range(FOLDS):
        own = [one for one in real if fold[one.group] == k]
        for number in range(args.each):
            rng = random.Random((args.seed * 101 + k) * 1_000_003 + number)  # nosec B311
            write(args.out, f"fold{k}_{number:04d}", more(own, rng), rng.randint(45, 92))
    print(f"{args.out}: {args.each} pictures for each of {FOLDS} folds")


if __name__ == "__main__":
    main()
