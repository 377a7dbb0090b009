"""Polish: go on training a released ONNX file from a recipe, for as long as there is time.

`python -m models.polish RECIPE.toml --data DIR --start models/streetscape-v1/model.onnx --out runs/polish`

For machines without a GPU. The net is the released one, its batch norms folded into the convolutions and therefore
fixed; the recipe's first `freeze` layers keep their weights, the rate is constant after warm-up, and what comes out is
the moving mean of the weights, so that it can be stopped at any step. Every `keep_every` steps a checkpoint is written
(the optimiser's moments in bfloat16: below 20 MB) and the mean as ONNX, which `jiexun evaluate` reads; started
again it goes on from there. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess  # nosec B404: git alone is asked, with fixed words
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import v8DetectionLoss

from models.paste import Paste
from models.train import Recipe, StreetDataset, written_data

State = dict[str, Tensor]


class PolishDataset(StreetDataset):
    """Pictures read when they are needed: a mosaic is made of any of them, and a step shows the same after a stop."""

    def build_transforms(self, hyp: Any) -> Any:
        made = super().build_transforms(hyp)
        mosaic = made.transforms[0]
        mosaic.buffer_enabled = False
        paste = self.recipe.augment.get("paste")
        if paste:
            made.transforms.insert(2, Paste(self, paste, self.recipe.classes))
        return made

    def seed(self, number: int) -> None:
        """All that is drawn from now on follows from `number`; also the order of calls that were never made."""
        random.seed(number)
        np.random.seed(number)  # ultralytics draws from it
        self.rng.bit_generator.state = np.random.default_rng(number).bit_generator.state


def read_net(start: Path, recipe: Recipe) -> DetectionModel:
    """The net of an ONNX file: one-to-many head alone, no batch norms. Raises ValueError when it is another."""
    net = DetectionModel(recipe.architecture, nc=len(recipe.classes), ch=3, verbose=False)
    net.end2end = False
    net.eval().fuse(verbose=False)
    net.load_state_dict({k: v.clone() for k, v in tensors(onnx.load(start)).items()}, strict=False)
    wanted = {name: tuple(value.shape) for name, value in net.named_parameters()}
    found = {name: tuple(value.shape) for name, value in tensors(onnx.load(start)).items()}
    if wanted != found:
        differ = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"{start} is no fused {recipe.architecture} of {len(recipe.classes)} classes: {differ[:3]}")
    net.args = get_cfg()
    return net


def tensors(model: onnx.ModelProto) -> State:
    """The weights of an exported net, by ultralytics' names."""
    own = (tensor for tensor in model.graph.initializer if tensor.name.startswith("model."))
    return {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in own}


def write_onnx(start: Path, state: Mapping[str, Tensor], out: Path, shape_hw: tuple[int, int], share: float) -> None:
    """The start file with its weights moved by `share` towards `state` (WiSE-FT, arXiv:2109.01903)."""
    model = onnx.load(start)
    for tensor in model.graph.initializer:
        if tensor.name in state:
            before = onnx.numpy_helper.to_array(tensor)
            moved = before * np.float32(1 - share) + state[tensor.name].numpy() * np.float32(share)
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved.astype(np.float32), tensor.name))
    facts = {entry.key: entry.value for entry in model.metadata_props} | {"imgsz": str(list(shape_hw))}
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, out)


def batches(dataset: PolishDataset, recipe: Recipe, first: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Step by step for ever, each from seeds of its own: (step, batch)."""
    size, seed = recipe.schedule["batch"], recipe.schedule["seed"]
    a_pass = len(dataset) // size
    step = first
    while True:
        step += 1
        order = np.random.default_rng((seed, (step - 1) // a_pass)).permutation(len(dataset))
        dataset.seed(seed + step)
        at = (step - 1) % a_pass * size
        batch = dataset.collate_fn([dataset[int(i)] for i in order[at : at + size]])
        batch["img"] = batch["img"].float().div_(255.0).contiguous(memory_format=torch.channels_last)
        yield step, batch


class Polish:
    """The net, its mean, and the optimiser."""

    def __init__(self, net: DetectionModel, recipe: Recipe) -> None:
        s = recipe.schedule
        self.net, self.s = net.to(memory_format=torch.channels_last), s
        for name, weight in net.named_parameters():
            weight.requires_grad_(int(name.split(".")[1]) >= s["freeze"])
        self.own = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}
        self.mean = {name: weight.detach().clone() for name, weight in self.own.items()}
        self.optimiser = torch.optim.AdamW(self.own.values(), lr=s["lr"], weight_decay=s["weight_decay"])
        self.loss = v8DetectionLoss(net)
        self.step = 0

    def learn(self, step: int, batch: dict[str, Any]) -> float:
        """One step. Returns the loss, a picture's."""
        self.net.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(step)
        loss = self.loss(self.told(batch["img"]), batch)[0].sum()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.own.values(), 10.0)
        self.optimiser.step()
        keep = min(self.s["mean_of_steps"] - 1, step) / min(self.s["mean_of_steps"], step + 1)
        for name, weight in self.own.items():
            self.mean[name].lerp_(weight.detach(), 1 - keep)
        self.step = step
        return float(loss.detach()) / len(batch["img"])

    def rate(self, step: int) -> float:
        """Of learning: constant after the warm-up, so that there is no last step."""
        return float(self.s["lr"] * min(1.0, step / self.s["warmup_steps"]))

    def told(self, images: Tensor) -> Any:
        """What the net says, before the loss."""
        return self.net(images)

    def save(self, path: Path) -> None:
        moments = {k: v.bfloat16() if v.ndim else v for one in self._moments() for k, v in one.items()}
        own = {name: weight.detach() for name, weight in self.own.items()}
        new = path.with_suffix(".new")
        torch.save({"step": self.step, "own": own, "mean": self.mean, "moments": moments}, new)
        new.replace(path)  # whoever is killed while writing still has the one before

    def load(self, path: Path) -> None:
        kept = torch.load(path, weights_only=True, map_location="cpu")
        self.step = kept["step"]
        with torch.no_grad():
            for name, weight in self.own.items():
                weight.copy_(kept["own"][name])
        self.mean = kept["mean"]
        for name, weight in self.own.items():
            state = {k: kept["moments"][f"{name}|{k}"].float() for k in ("exp_avg", "exp_avg_sq")}
            self.optimiser.state[weight] = state | {"step": kept["moments"][f"{name}|step"]}

    def _moments(self) -> Iterator[State]:
        """Of every weight, by name; kept in bfloat16, since second moments are below what fp16 can hold."""
        for name, weight in self.own.items():
            yield {f"{name}|{k}": v for k, v in self.optimiser.state[weight].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, labels/ and data.yaml")
    parser.add_argument("--start", type=Path, required=True, help="released ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, ONNX file and log go there")
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--share", type=float, help="only write the ONNX file, moved by this share from the start")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    run(args)


def run(args: argparse.Namespace) -> None:
    recipe = Recipe.read(args.recipe)
    keep_every = tomllib.loads(args.recipe.read_text(encoding="utf8"))["schedule"]["keep_every"]
    args.out.mkdir(parents=True, exist_ok=True)
    polish = Polish(read_net(args.start, recipe), recipe)
    checkpoint = args.out / "last.pt"
    if checkpoint.is_file():
        polish.load(checkpoint)
    if args.share is not None:
        return write_onnx(args.start, polish.mean, args.out / "model.onnx", recipe.shape_hw, args.share)
    written_data(args.data.resolve(), recipe.classes, args.out)
    torch.set_num_threads(args.threads)  # after ultralytics, which sets its own
    log = args.out / "log.jsonl"
    _note(
        log, {"from": polish.step, "commit": _commit(), "data_sha256": (args.out / "data.sha256").read_text().strip()}
    )
    pictures = linked(args.data.resolve(), args.out) / "images" / "train"
    for step, batch in batches(training_set(pictures, recipe), recipe, polish.step):
        start = time.perf_counter()
        loss = polish.learn(step, batch)
        _note(log, {"step": step, "loss": round(loss, 4), "s": round(time.perf_counter() - start, 2)})
        if step % keep_every == 0 or step >= args.steps:
            polish.save(checkpoint)
            write_onnx(args.start, polish.mean, args.out / "model.onnx", recipe.shape_hw, 1.0)
        if step >= args.steps:
            return None
    return None


def linked(data: Path, out: Path) -> Path:
    """The data set by links, so that what ultralytics notes beside the labels is written there."""
    root = out.resolve() / "data"
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True, exist_ok=True)
        if not (root / kind / "train").is_symlink():
            (root / kind / "train").symlink_to(data / kind / "train")
    return root


def training_set(pictures: Path, recipe: Recipe) -> PolishDataset:
    """What is learned from: a folder of pictures, or a file that lists them."""
    return PolishDataset(
        recipe=recipe,
        img_path=str(pictures),
        imgsz=recipe.augment["cache_px"],
        batch_size=recipe.schedule["batch"],
        augment=True,
        hyp=get_cfg(overrides={"mosaic": recipe.augment["mosaic"]}),
        rect=False,
        cache=False,
        prefix="train: ",
        data={"names": dict(enumerate(recipe.classes)), "nc": len(recipe.classes), "channels": 3},
    )


def _note(log: Path, row: dict[str, Any]) -> None:
    with log.open("a", encoding="utf8") as file:
        file.write(json.dumps(row) + "\n")


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)  # nosec
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
