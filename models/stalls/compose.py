"""Compose training pictures: `python -m models.stalls.compose OUT --cut-outs DIR --streets DIR --count 400`.

Cut-outs of `models.stalls.render` are put on street pictures, on the ground, at the size they would have there (what is
assumed of the camera: street.py), far ones first, some half hidden; what only looks like a stall goes in unlabelled.
OUT becomes a data set in YOLO's layout (images/, labels/). A seed gives the same pictures again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.stalls.blend import Image, Look, compressed, covered_again, pasted, read_image
from models.stalls.street import Box, Street, clipped, hidden_share, yolo_line

WIDTH_PX = 640
ASPECTS = (4 / 3, 16 / 9)
LARGEST = 1.6  # a cut-out is not enlarged beyond this
SEEN = 0.5  # a stall of which less is in sight is not labelled: it is not put there
ALIKE = 6  # cut-outs seen from the most similar height, of which one is drawn
REACH_M = (4.5, 28.0)
SAME = 0.93  # correlation of two pictures, small and grey, that are copies of each other or the next frame


@dataclass(frozen=True, slots=True)
class CutOut:
    """A rendered thing and how it was seen."""

    path: Path
    stall: bool
    look_down: float  # radians below the horizon
    px_per_m: float
    foot_px: float
    box: Box  # of the unit, without people and shadow

    def image(self) -> Image:
        return np.asarray(cv2.imread(str(self.path), cv2.IMREAD_UNCHANGED), np.uint8)


@dataclass(slots=True)
class Scene:
    """A picture and the stalls that can be seen in it."""

    picture: Image
    boxes: list[Box]


def read_cut_outs(folder: Path) -> list[CutOut]:
    """Every cut-out of a folder, by name."""
    out = []
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf8"))
        down = float(np.arctan2(facts["lens_m"], facts["reach_m"]))
        x1, y1, x2, y2 = facts["box_xyxy"]
        out.append(
            CutOut(
                path.with_suffix(".png"), facts["stall"], down, facts["px_per_m"], facts["foot_px"], (x1, y1, x2, y2)
            )
        )
    return out


def composed(street: Image, cut_outs: Sequence[CutOut], rng: random.Random) -> Scene:
    """A street picture with one to three stalls and none to two things that look like one; sometimes without stalls."""
    size_wh = (street.shape[1], street.shape[0])
    camera = Street.drawn(size_wh, rng)
    stalls, others = [c for c in cut_outs if c.stall], [c for c in cut_outs if not c.stall]
    wanted = [stalls] * rng.choice((0, 1, 1, 2, 3)) + ([others] * rng.choice((0, 0, 1, 2)) if others else [])
    placed = sorted(((camera.foot_px(_reach(rng)), kind) for kind in wanted), key=lambda one: one[0])
    scene = Scene(street, [])
    for foot, kind in placed:
        if foot < size_wh[1] * 1.05:
            _place(scene, camera, foot, _seen_alike(kind, camera.look_down(foot), rng), rng)
    return scene


def _reach(rng: random.Random) -> float:
    """Metres ahead: near ones as often as far ones, by the logarithm."""
    return float(np.exp(rng.uniform(*np.log(REACH_M))))


def _seen_alike(cut_outs: Sequence[CutOut], look_down: float, rng: random.Random) -> CutOut:
    """One of those that were seen from about the same angle."""
    near = sorted(cut_outs, key=lambda one: abs(one.look_down - look_down))
    return rng.choice(near[:ALIKE])


def _place(scene: Scene, camera: Street, foot: float, cut: CutOut, rng: random.Random) -> None:
    """Lay one cut-out into the scene, unless it would hide another stall or hang out of the picture."""
    scale = camera.px_per_m(foot) / cut.px_per_m
    if scale > LARGEST:
        return
    size_wh = (camera.width_px, camera.height_px)
    image = cut.image()
    mirrored = rng.random() < 0.5
    x1, x2 = (image.shape[1] - cut.box[2], image.shape[1] - cut.box[0]) if mirrored else (cut.box[0], cut.box[2])
    left = rng.uniform(-0.2, 1.0) * camera.width_px - x1 * scale
    top = foot - cut.foot_px * scale
    whole = (left + x1 * scale, top + cut.box[1] * scale, left + x2 * scale, top + cut.box[3] * scale)
    box, share = clipped(whole, size_wh)
    cover = _obstacle(box, rng) if rng.random() < 0.3 else None
    if share < SEEN or any(hidden_share(other, box) > 1 - SEEN for other in scene.boxes):
        return
    look = Look(rng.uniform(0.2, 0.7), mirrored, rng.uniform(0.3, 1.1))
    before = scene.picture
    scene.picture = pasted(before, image, (left, top), scale, look, rng.randrange(2**31))
    if cover is not None:
        scene.picture = covered_again(scene.picture, before, cover)
    if cut.stall:
        scene.boxes.append(box)


def _obstacle(box: Box, rng: random.Random) -> Box:
    """What stands before a thing: a post in front of it, or a low wall before its foot. Its box stays whole."""
    width, height = box[2] - box[0], box[3] - box[1]
    if rng.random() < 0.5:
        x = rng.uniform(box[0] + 0.1 * width, box[2] - 0.2 * width)
        return (x, box[1], x + rng.uniform(0.06, 0.2) * width, box[3])
    return (box[0] + rng.uniform(-0.1, 0.5) * width, box[3] - rng.uniform(0.1, 0.3) * height, box[2], box[3])


def streets(folder: Path, leave_out: set[str]) -> list[Path]:
    """The pictures to compose on, less those named."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [path for path in files if path.stem not in leave_out]


def unlike(files: Sequence[Path], held: Sequence[Path]) -> list[Path]:
    """Those of which `held` has no copy, under whatever name: what a model is measured on is not composed on."""
    known = np.array([_small(path) for path in held])
    return [path for path in files if not held or (known @ _small(path)).max() <= SAME]


def _small(path: Path) -> NDArray[np.float64]:
    grey = cv2.cvtColor(read_image(str(path)), cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (24, 18), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-9))


def scenes(files: Sequence[Path], cut_outs: Sequence[CutOut], count: int, seed: int) -> Iterator[tuple[int, Scene]]:
    """So many composed pictures, numbered."""
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)  # nosec B311
        street = read_image(str(rng.choice(files)))
        width, height = WIDTH_PX, round(WIDTH_PX / rng.choice(ASPECTS))
        street = np.asarray(cv2.resize(street, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        yield number, composed(np.asarray(street[:, ::-1] if rng.random() < 0.5 else street, np.uint8), cut_outs, rng)


def write(out: Path, name: str, scene: Scene, quality: int) -> None:
    """One picture and its labels."""
    height, width = scene.picture.shape[:2]
    (out / "images" / f"{name}.jpg").write_bytes(compressed(scene.picture, quality))
    lines = [yolo_line(box, (width, height)) for box in scene.boxes]
    (out / "labels" / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cut-outs", type=Path, required=True)
    parser.add_argument("--streets", type=Path, required=True, help="folder of street pictures without stalls")
    parser.add_argument("--leave-out", type=Path, help="file with names (no suffix), one a line, not to compose on")
    parser.add_argument("--unlike", type=Path, help="folder of pictures to measure on: no copy of one is composed on")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    leave_out = set(args.leave_out.read_text(encoding="utf8").split()) if args.leave_out else set()
    files, cut_outs = streets(args.streets, leave_out), read_cut_outs(args.cut_outs)
    if args.unlike:
        files = unlike(files, streets(args.unlike, set()))
    for kind in ("images", "labels"):
        (args.out / kind).mkdir(parents=True, exist_ok=True)
    for number, scene in scenes(files, cut_outs, args.count, args.seed):
        write(args.out, f"composed_{number:05d}", scene, 40 + (number * 37) % 51)
    (args.out / "data.yaml").write_text("train: images\nval: images\nnames:\n  0: street_stall\n", encoding="utf8")
    print(f"{args.out}: {args.count} pictures on {len(files)} streets with {len(cut_outs)} cut-outs")


if __name__ == "__main__":
    main()
