"""Export a checkpoint to the ONNX file that ships.

`python -m models.export WEIGHTS.pt OUT.onnx --shape 384 640 [--blend START.pt --share 0.5]`

Needs the `train` extra. The output is the raw one-to-many head, (batch, 4 + classes, anchors) with boxes as centre
x, centre y, width, height in input pixels, dynamic in batch, height and width. With `--blend` the weights are averaged
with those that training started from (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903): a fine-tuned net keeps more of
what it knew.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")

import onnx
import torch
from ultralytics import YOLO

KEPT = ("names", "stride", "task", "head", "channels", "imgsz", "end2end", "version", "license")


def export(
    weights: Path, out: Path, shape_hw: tuple[int, int], *, blend: Path | None = None, share: float = 0.5
) -> Path:
    """Write `out`. `share` is the part of `weights` in the average with `blend`."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _read(weights) if blend is None else blended(_read(weights), _read(blend), share)
        copied = Path(folder) / "model.pt"  # ultralytics writes next to the file it reads
        torch.save(checkpoint, copied)
        made = YOLO(copied).export(format="onnx", imgsz=list(shape_hw), dynamic=True, simplify=True, device="cpu")
        model = onnx.load(made)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    kept = {name: facts[name] for name in KEPT if name in facts}  # the rest tells paths and times of a machine
    onnx.helper.set_model_props(model, kept | {"description": f"Jiexun {out.parent.name}, trained with ultralytics"})
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField(
            "metadata_props"
        )  # the exporter's stack traces: paths of a machine again, and a tenth of the file
        part.ClearField("doc_string")
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, out)
    return out


def blended(tuned: dict[str, Any], start: dict[str, Any], share: float) -> dict[str, Any]:
    """The start checkpoint with its weights moved by `share` towards the tuned ones."""
    to = tuned["model"].float().state_dict()
    model = copy.deepcopy(start["model"]).float()
    mixed = {
        k: v * (1 - share) + to[k] * share if v.is_floating_point() else to[k] for k, v in model.state_dict().items()
    }
    model.load_state_dict(mixed)
    return start | {"model": model.half()}


def _read(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=False, map_location="cpu")  # nosec B614
    return checkpoint | {"model": checkpoint.get("ema") or checkpoint["model"], "ema": None, "train_results": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", type=int, nargs=2, default=(384, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--blend", type=Path, help="checkpoint to average with: the one that training started from")
    parser.add_argument("--share", type=float, default=0.5, help="part of WEIGHTS in that average")
    args = parser.parse_args()
    out = export(args.weights, args.out, tuple(args.shape), blend=args.blend, share=args.share)
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
