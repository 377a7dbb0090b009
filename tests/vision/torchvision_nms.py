"""What torchvision keeps of made-up boxes: writes data/torchvision_nms.npz, which test_suppression.py compares with.

`python tests/vision/torchvision_nms.py` in an environment with torchvision. The boxes themselves are not stored but
made again from the case's name and seed; a checksum says whether they still are the same.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "data" / "torchvision_nms.npz"
KINDS = ("scattered", "clusters", "ties", "flat", "whole", "floats")
COUNTS = (0, 1, 2, 10, 100, 999)
OVERLAPS = (0.3, 0.45, 0.5, 0.7)
CASES = [
    (kind, count, iou) for kind in KINDS for count in COUNTS for iou in OVERLAPS if kind != "floats" or count != 999
]
CASES += [("floats", 1500, 0.45), ("floats", 4000, 0.7), ("clusters", 8400, 0.7)]


def made(kind: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), scores and labels.

    Coordinates are multiples of 1/8 pixel (but for `floats`), so that adding torchvision's offset of a class to them
    rounds nothing: its result is then that of the definition.
    """
    random = np.random.default_rng([KINDS.index(kind), count])
    centre, size = random.random((count, 2)) * (640, 384), random.random((count, 2)) * 70 + 4
    score, label = random.random(count), (random.random(count) * 3).astype(np.int64)
    if kind == "clusters":
        thing = (random.random(count) * max(count // 15, 1)).astype(np.int64)
        centre, size = (
            centre[thing] + random.random((count, 2)) * 12,
            size[thing] * (0.8 + 0.4 * random.random((count, 2))),
        )
        label = (label[thing] + (random.random(count) > 0.9)) % 3
    if kind == "ties":
        score, centre = np.round(score, 1), centre / 4
    if kind == "flat":
        size[random.random(count) < 0.4, 0] = 0
        size[random.random(count) < 0.2] = 0
        centre = np.round(centre / 60) * 60
    if kind == "whole":  # few different boxes: overlaps of exactly 1/2 and exact copies are frequent
        centre, size = np.round(centre / 80) * 8, 2 * np.round(1 + size / 16)
    xyxy = np.hstack([centre - size / 2, centre + size / 2])
    if kind != "floats":
        xyxy = np.round(xyxy * 8) / 8
    return xyxy.astype(np.float32), score.astype(np.float32), label


def name(kind: str, count: int, iou: float) -> str:
    return f"{kind}-{count}-{iou}"


def checksum(kind: str, count: int) -> int:
    return zlib.crc32(b"".join(part.tobytes() for part in made(kind, count)))


def main() -> None:
    import torch
    import torchvision

    kept = {}
    for kind, count, iou in CASES:
        xyxy, score, label = (torch.from_numpy(part) for part in made(kind, count))
        exact = kind != "floats" or count > 1000  # of many boxes each class is done for itself, without the offset
        nms = torchvision.ops.batched_nms if exact else torchvision.ops.boxes._batched_nms_vanilla
        kept[name(kind, count, iou)] = nms(xyxy, score, label, iou).numpy().astype(np.uint16)
    sums = {f"crc-{kind}-{count}": np.uint32(checksum(kind, count)) for kind, count, _ in CASES}
    np.savez_compressed(OUT, version=torchvision.__version__, **kept, **sums)
    print(f"{OUT.name}: {len(kept)} cases, torchvision {torchvision.__version__}")


if __name__ == "__main__":
    main()
