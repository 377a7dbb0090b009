"""Features: what the frozen trunk says of every picture, kept on disk so that each is looked at once.

`python -m models.stalls.features OUT --data DIR --start STATE.npz` writes OUT/NAME.npz for every picture of DIR/images,
with its boxes in input pixels; pictures done already are left alone, so a run that was stopped goes on. A picture takes
about 0.07 s of one core and 0.8 MB.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from ultralytics.data.augment import LetterBox

from models.stalls.head import SHAPE_HW
from models.stalls.kept import Kept
from models.stalls.net import Trunk


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
        look(trunk, path, args.data / "labels" / f"{path.stem}.txt").write(out)
        done += 1
        if done % 20 == 0:
            print(f"{done} pictures, {(time.monotonic() - begun) / done:.2f} s each", flush=True)
    print(f"{args.out}: {done} new", flush=True)


if __name__ == "__main__":
    main()
