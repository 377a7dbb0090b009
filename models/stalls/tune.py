"""Tune: YOLO26n with COCO's weights and one class, all of it but the first layers learned.

Needs the `train` extra. Batch norms are folded into the convolutions, as in what ships; what is learned, averaged, kept
and gone on from is `models.polish`'s.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from models.polish import Polish, batches, training_set
from models.stalls.features import letterboxed
from models.stalls.finetune import cosine, row
from models.stalls.real import Real
from models.train import Recipe

HEAD = "model.23."
LAST = ("cv3.0.2", "cv3.1.2", "cv3.2.2")  # says which class: starts afresh


class Tune(Polish):
    """A run of so many steps."""

    def __init__(self, net: DetectionModel, recipe: Recipe, steps: int, *, bf16: bool) -> None:
        super().__init__(net, recipe)
        self.steps, self.bf16 = steps, bf16

    def rate(self, step: int) -> float:
        return cosine(step, self.steps, self.s["warmup_steps"]) * float(self.s["lr"])

    def told(self, images: Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            told = self.net(images)
        return tree_map(lambda x: x.float() if isinstance(x, Tensor) else x, told)


def from_coco(state: Path, recipe: Recipe) -> DetectionModel:
    """The net as COCO left it, but for what says which class. Raises ValueError when `state` is not YOLO26n's."""
    with np.load(state) as found:
        known = {name: torch.from_numpy(found[name].astype(np.float32)) for name in found.files}
    known |= {name.replace("one2one_", ""): value for name, value in known.items()}  # the export had that head alone
    coco = DetectionModel(recipe.architecture, nc=80, ch=3, verbose=False)
    missing = [k for k in coco.load_state_dict(known, strict=False).missing_keys if "num_batches" not in k]
    if missing:
        raise ValueError(f"{state} lacks {len(missing)} tensors of {recipe.architecture}, {missing[0]} first")
    source = _folded(coco).state_dict()
    net = _folded(DetectionModel(recipe.architecture, nc=len(recipe.classes), ch=3, verbose=False))
    wanted = {name: value for name, value in net.state_dict().items() if not _fresh(name)}
    cut = {name: source[name][tuple(slice(n) for n in value.shape)] for name, value in wanted.items()}
    net.load_state_dict(cut, strict=False)  # class branches are narrower for fewer classes: their first channels
    net.args = get_cfg()
    return net


def _fresh(name: str) -> bool:
    return name.startswith(tuple(f"{HEAD}{layer}." for layer in LAST))


def _folded(net: DetectionModel) -> DetectionModel:
    """One-to-many head alone, no batch norms."""
    net.end2end = False
    net.eval().fuse(verbose=False)
    return net


def with_mean(net: DetectionModel, checkpoint: Path) -> DetectionModel:
    """The net with the mean weights of a run."""
    mean = torch.load(checkpoint, weights_only=True, map_location="cpu")["mean"]
    net.load_state_dict(mean, strict=False)
    return net


def learn(run: Tune, files: Sequence[Path], recipe: Recipe, out: Path, keep_every: int) -> None:
    """All steps of a run, or those that are left of it. Checkpoint and log go to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, log = out / "last.pt", out / "log.jsonl"
    if checkpoint.is_file():
        run.load(checkpoint)
    if run.step >= run.steps:
        return
    begun = time.perf_counter()
    for step, batch in batches(training_set(_listed(files, out), recipe), recipe, run.step):
        loss = run.learn(step, batch)
        took, begun = time.perf_counter() - begun, time.perf_counter()
        with log.open("a", encoding="utf8") as file:
            cpu = round(time.process_time(), 1)
            file.write(json.dumps({"step": step, "loss": round(loss, 4), "s": round(took, 2), "cpu": cpu}) + "\n")
        if step % keep_every == 0 or step >= run.steps:
            run.save(checkpoint)
        if step >= run.steps:
            return


def _listed(files: Sequence[Path], out: Path) -> Path:
    """A file that names them, one a line."""
    names = out / "files.txt"
    names.write_text("".join(f"{path}\n" for path in files), encoding="utf8")
    return names


def told(net: DetectionModel, one: Real) -> dict[str, Any]:
    """What the net says of a real picture, as `python -m vision.stalls` reads it."""
    image = np.asarray(cv2.imread(str(one.path)), np.uint8)
    planes, inner = letterboxed(image)
    net.eval()
    with torch.inference_mode():
        out = net(planes.contiguous(memory_format=torch.channels_last))[0][0].T.numpy()
    return row(out[:, :4], out[:, 4], inner, (image.shape[1], image.shape[0]), one.boxes)


def threads(count: int) -> None:
    """Say this after ultralytics was imported, which sets its own."""
    torch.set_num_threads(count)
    cv2.setNumThreads(1)


def weights(net: DetectionModel) -> int:
    """How many are learned: for the log."""
    return sum(math.prod(w.shape) for w in net.parameters() if w.requires_grad)
