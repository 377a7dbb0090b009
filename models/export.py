"""Export a checkpoint to the ONNX file that ships: `python -m models.export WEIGHTS.pt OUT.onnx --shape 384 640`.

Needs the `train` extra. The output is the raw one-to-many head, (batch, 4 + classes, anchors) with boxes as
centre x, centre y, width, height in input pixels, dynamic in batch, height and width.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("YOLO_OFFLINE", "true")

from ultralytics import YOLO


def export(weights: Path, out: Path, shape_hw: tuple[int, int]) -> Path:
    """Write `out`. The checkpoint is copied first: ultralytics writes next to the file it reads."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(weights, Path(folder) / "model.pt"))
        made = YOLO(copy).export(format="onnx", imgsz=list(shape_hw), dynamic=True, simplify=True, device="cpu")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", type=int, nargs=2, default=(384, 640), metavar=("HEIGHT", "WIDTH"))
    args = parser.parse_args()
    out = export(args.weights, args.out, tuple(args.shape))
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
