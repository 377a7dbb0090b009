"""Features: what the frozen trunk says of every picture, kept on disk so that each is looked at once.

`python -m models.stalls.features OUT --data DIR --start STATE.npz` writes OUT/NAME.npz for every picture of DIR/images,
with its boxes in input pixels; pictures done already are left alone, so a run that was stopped goes on. A picture takes
about 0.07 s of one core and 0.8 MB.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from ultralytics.data.augment import LetterBox

from models.stalls.net import STRIDES, Trunk

SHAPE_HW = (384, 640)


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture as it was seen. Boxes and cells in input pixels; `inner` is the picture's place in the input."""

    name: str
    maps: tuple[NDArray[np.float16], ...]  # by level (cells, channels)
    boxes: NDArray[np.float32]  # (M, 4)
    inner: NDArray[np.float32]  # x1, y1, x2, y2
    size_wh: NDArray[np.int64]  # of the source


def read_kept(folder: Path) -> list[Kept]:
    """Every picture of a folder, by name."""
    out = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as z:
            maps = tuple(z[f"p{level}"] for level in range(len(STRIDES)))
            out.append(Kept(path.stem, maps, z["boxes"], z["inner"], z["size_wh"]))
    return out


def letterboxed(image: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.float32]]:
    """(1, 3, H, W), RGB in 0–1, and where the picture lies in it."""
    height, width = image.shape[:2]
    scale = min(SHAPE_HW[0] / height, SHAPE_HW[1] / width)
    w, h = round(width * scale), round(height * scale)
    left, top = round((SHAPE_HW[1] - w) / 2 - 0.1), round((SHAPE_HW[0] - h) / 2 - 0.1)
    placed = LetterBox(new_shape=SHAPE_HW, scaleup=True)(image=image)
    planes = torch.from_numpy(np.ascontiguousarray(placed[..., ::-1].transpose(2, 0, 1))).float() / 255.0
    return planes[None], np.array([left, top, left + w, top + h], np.float32)


def look(trunk: Trunk, path: Path, label: Path) -> Kept:
    """One picture and its labels."""
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    planes, inner = letterboxed(image)
    with torch.inference_mode():
        maps = tuple(m[0].flatten(1).T.to(torch.float16).numpy() for m in trunk(planes))
    rows = [line.split()[1:] for line in label.read_text(encoding="utf8").splitlines()] if label.is_file() else []
    xywh = np.array(rows, np.float32).reshape(-1, 4)
    fractions = np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, :2] + xywh[:, 2:] / 2], axis=1)
    size = np.tile(inner[2:] - inner[:2], 2)
    boxes = fractions * size + np.tile(inner[:2], 2)
    return Kept(path.stem, maps, boxes.astype(np.float32), inner, np.array(image.shape[1::-1], np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--start", type=Path, required=True, help="YOLO26n's weights as .npz")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    trunk, begun, done = Trunk(args.start), time.monotonic(), 0
    for path in sorted((args.data / "images").glob("*.jpg")):
        out = args.out / f"{path.stem}.npz"
        if out.exists():
            continue
        kept = look(trunk, path, args.data / "labels" / f"{path.stem}.txt")
        maps = {f"p{level}": one for level, one in enumerate(kept.maps)}
        part = out.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, boxes=kept.boxes, inner=kept.inner, size_wh=kept.size_wh, **maps)
        part.rename(out)
        done += 1
        if done % 20 == 0:
            print(f"{done} pictures, {(time.monotonic() - begun) / done:.2f} s each", flush=True)
    print(f"{args.out}: {done} new", flush=True)


if __name__ == "__main__":
    main()
