"""Train a released model from its recipe.

`python -m models.train RECIPE.toml --data DIR --start WEIGHTS`

Needs the `train` extra (ultralytics, torch). Runs on a GPU or, slowly, on a CPU (bf16 where that is faster).
Stops and resumes: the last checkpoint is written after every epoch; `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "true")  # no look-up of weights, fonts or versions: intranets have no internet

import cv2
import numpy as np
import torch
from torch.utils._pytree import tree_map
from ultralytics.data.augment import (
    Compose,
    Format,
    LetterBox,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
)
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel, load_checkpoint
from ultralytics.utils import YAML


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe file, read. `shape_hw` is the shipped input shape in pixels."""

    architecture: str
    classes: tuple[str, ...]
    shape_hw: tuple[int, int]
    schedule: dict[str, Any]
    augment: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Recipe:
        doc = tomllib.loads(path.read_text(encoding="utf8"))
        height, width = doc["model"]["shape_hw"]
        return cls(
            architecture=doc["model"]["architecture"],
            classes=tuple(doc["model"]["classes"]),
            shape_hw=(height, width),
            schedule=doc["schedule"],
            augment=doc["augment"],
        )


class Damage:
    """What a dashcam does to a picture: dusk, motion blur, noise, JPEG. Boxes stay where they are."""

    def __init__(self, augment: dict[str, Any], rng: np.random.Generator) -> None:
        self.dusk, self.blur, self.jpeg = augment["dusk"], augment["motion_blur"], augment["jpeg"]
        self.noise = augment.get("noise", (0.0, 0.0, 0.0))
        self.rng = rng

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        image = np.ascontiguousarray(labels["img"])
        if self.rng.random() < self.dusk[0]:
            gamma = self.rng.uniform(self.dusk[1], self.dusk[2])
            table = np.round(255.0 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
            image = cv2.LUT(image, table)
        if self.rng.random() < self.blur[0]:
            size = int(self.rng.integers(self.blur[1], self.blur[2] + 1))
            kernel = np.zeros((size, size), np.float32)
            kernel[size // 2] = 1.0 / size  # a moving camera smears along the road, which is mostly sideways
            image = cv2.filter2D(image, -1, kernel)
        if self.rng.random() < self.noise[0]:
            grain = self.rng.normal(0.0, self.rng.uniform(*self.noise[1:]), image.shape)
            image = np.clip(image + grain, 0, 255).astype(np.uint8)
        if self.rng.random() < self.jpeg[0]:
            quality = int(self.rng.integers(self.jpeg[1], self.jpeg[2] + 1))
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
        labels["img"] = image
        return labels


class StreetDataset(YOLODataset):
    """The YOLO dataset, trained in the shape that ships and in aspect ratios that streets have."""

    def __init__(self, *args: Any, recipe: Recipe, **kwargs: Any) -> None:
        self.recipe = recipe
        self.rng = np.random.default_rng(recipe.schedule["seed"])
        super().__init__(*args, **kwargs)

    def load_image(self, i: int, rect_mode: bool = True, resize_short: bool = False) -> Any:
        image, hw0, hw = super().load_image(i, rect_mode, resize_short)
        if not self.augment:
            return image, hw0, hw
        # Boxes are still fractions of the picture here, so a stretch moves them along by itself.
        a = self.recipe.augment
        own = image.shape[1] / image.shape[0]
        aspect = self.rng.choice(a["aspects"], p=a["aspect_weights"]) if a["aspects"] else own
        aspect *= self.rng.uniform(1 - a["aspect_jitter"], 1 + a["aspect_jitter"])
        long_px = a["cache_px"]
        size_wh = (long_px, round(long_px / aspect)) if aspect >= 1 else (round(long_px * aspect), long_px)
        image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
        return image, hw0, image.shape[:2]

    def build_transforms(self, hyp: Any) -> Compose:
        height, width = self.recipe.shape_hw
        a = self.recipe.augment
        steps: list[Any] = [LetterBox(new_shape=(height, width), scaleup=True)]
        if self.augment:
            hue, saturation, value = a["hsv"]
            steps = [
                Mosaic(self, imgsz=a["cache_px"], p=hyp.mosaic),
                RandomPerspective(translate=a["translate"], scale=tuple(a["scale"]), size=(width, height)),
                RandomHSV(hgain=hue, sgain=saturation, vgain=value),
                Damage(a, self.rng),
                RandomFlip(direction="horizontal", p=a["fliplr"]),
            ]
        steps.append(Format(bbox_format="xywh", normalize=True, batch_idx=True))
        return Compose(steps)


class StreetModel(DetectionModel):
    """DetectionModel whose CPU forward pass can run in bf16 (ultralytics refuses `amp="bf16"` on a CPU)."""

    bf16 = False  # twice as fast on a CPU with AMX, slower than fp32 on one without

    def loss(self, batch: dict[str, Any], preds: Any = None) -> Any:
        if preds is None:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                preds = self.forward(batch["img"])
            preds = tree_map(lambda x: x.float() if isinstance(x, torch.Tensor) else x, preds)
        return super().loss(batch, preds)


class StreetTrainer(DetectionTrainer):
    """DetectionTrainer with the recipe's dataset and model."""

    def __init__(self, recipe: Recipe, start: Path | None, overrides: dict[str, Any]) -> None:
        self.recipe, self.start = recipe, start
        super().__init__(overrides=overrides)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> StreetDataset:
        return StreetDataset(
            recipe=self.recipe,
            img_path=img_path,
            imgsz=self.recipe.augment["cache_px"] if mode == "train" else max(self.recipe.shape_hw),
            batch_size=batch,
            augment=mode == "train",
            hyp=self.args,
            rect=False,
            cache="ram",
            prefix=f"{mode}: ",
            data=self.data,
        )

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> StreetModel:
        model = StreetModel(self.recipe.architecture, nc=len(self.recipe.classes), ch=3, verbose=verbose)
        model.names = dict(enumerate(self.recipe.classes))
        if weights is None and self.start is not None:
            weights, _ = load_checkpoint(self.start)
        if weights is not None:
            model.load(weights)
        return model


def data_sha256(folder: Path) -> str:
    """Hash of a data set: every label and picture below it, in order of name."""
    digest = hashlib.sha256()
    for path in sorted(p for kind in ("images", "labels") for p in (folder / kind).rglob("*") if p.is_file()):
        if path.suffix != ".cache":
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, labels/ and data.yaml")
    parser.add_argument("--start", type=Path, help="checkpoint (.pt) to start from")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="where checkpoints go")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bf16 forward pass: faster on a CPU with AMX")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    return parser.parse_args()


def written_data(data: Path, classes: tuple[str, ...], out: Path) -> Path:
    """A data.yaml with the data's folder in full (ultralytics looks for a relative one elsewhere), and its hash."""
    path = out / "data.yaml"
    splits = {split: f"images/{split}" for split in ("train", "val", "test")}
    YAML.save(path, {"path": str(data), **splits, "names": dict(enumerate(classes))})
    (out / "data.sha256").write_text(data_sha256(data) + "\n", encoding="utf8")
    return path


def overrides(recipe: Recipe, data_yaml: Path, out: Path, *, device: str, resume: bool) -> dict[str, Any]:
    """The recipe in ultralytics' words."""
    s = recipe.schedule
    same = (
        "epochs",
        "batch",
        "optimizer",
        "lr0",
        "lrf",
        "warmup_epochs",
        "weight_decay",
        "close_mosaic",
        "freeze",
        "seed",
    )
    return {name: s[name] for name in same} | {
        "model": recipe.architecture,
        "data": str(data_yaml),
        "imgsz": max(recipe.shape_hw),
        "nbs": s["batch"],
        "cos_lr": True,
        "warmup_bias_lr": 0.0,
        "mosaic": recipe.augment["mosaic"],
        "deterministic": False,
        "device": device,
        "amp": False,
        "channels_last": True,
        "workers": 0,
        "plots": False,
        "project": str(out.parent),
        "name": out.name,
        "exist_ok": True,
        "resume": str(out / "weights" / "last.pt") if resume else False,
    }


def main() -> None:
    args = arguments()
    recipe = Recipe.read(args.recipe)
    out: Path = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    StreetModel.bf16 = args.bf16
    data_yaml = written_data(args.data.resolve(), recipe.classes, out)
    options = overrides(recipe, data_yaml, out, device=args.device, resume=args.resume)
    trainer = StreetTrainer(recipe, args.start, options)
    torch.set_num_threads(args.threads)  # after ultralytics, which sets its own
    trainer.train()


if __name__ == "__main__":
    from models.train import main as importable_main  # checkpoints name their classes: not as __main__'s

    importable_main()
