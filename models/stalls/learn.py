"""Learn the heads: `python -m models.stalls.learn RECIPE.toml OUT --kept DIR`, three arms and as many folds.

DIR holds what `models.stalls.features` kept: stalls/ (the real pictures, as they are), real/ (those made of each fold's
own, named fold0_… and so on) and composed/. Written are, for every arm, OUT/ARM.json, what the heads that did not learn
from a picture's fold say of it, for `python -m vision.stalls`; and OUT/ARM_FOLD.pt after every round, from which a run
that was stopped goes on. With `--ship ARM` heads are learned from every picture of that arm, and the whole net is
written to OUT/model.onnx: what it is worth is what the folds say.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import complete_box_iou_loss

from models.stalls.features import SHAPE_HW, Kept, read_kept
from models.stalls.net import STRIDES, Net, Trunk, cells, export, new_heads
from models.stalls.real import FOLDS, fold_of, read_real

ARMS = ("real", "composed", "both")
TOLD = 200  # cells of a held-out picture that are written down
EVERY = -1  # no fold is held out

GRID = [cells(SHAPE_HW[0] // s, SHAPE_HW[1] // s, s) for s in STRIDES]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of a recipe file's [learn]."""

    rounds: int  # of learning, each followed by a search for cells that are wrongly sure
    epochs: int  # a round
    batch: int
    lr: float
    weight_decay: float
    negatives: int  # cells a picture, drawn at first
    mined: int  # cells a picture, added after each round
    reach: float  # the inner part of a box, of each side, whose cells answer for it
    sizes_px: tuple[tuple[float, float], ...]  # by level: longer side of the boxes it answers for
    box_weight: float
    seed: int

    @classmethod
    def read(cls, path: Path) -> Recipe:
        table = tomllib.loads(path.read_text(encoding="utf8"))["learn"]
        return cls(**table | {"sizes_px": tuple((low, high) for low, high in table["sizes_px"])})


@dataclass(slots=True)
class Sample:
    """Cells of one level: features (N, C), weight, and the distances to the sides; no stall where `weight` < 0."""

    x: Tensor
    weight: Tensor
    sides: Tensor


def answers(boxes: Tensor, level: int, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """For each cell of a level: the box it answers for, -1 for none, -2 where nobody says; and how many answer so."""
    centre = GRID[level]
    box = torch.full((len(centre),), -1)
    low, high = recipe.sizes_px[level]
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        inside = (centre[:, 0] > x1) & (centre[:, 0] < x2) & (centre[:, 1] > y1) & (centre[:, 1] < y2)
        box[inside & (box < 0)] = -2
        if low <= max(x2 - x1, y2 - y1) < high:
            off = (centre - torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2])).abs()
            box[(off <= torch.tensor([x2 - x1, y2 - y1]) / 2 * recipe.reach).all(dim=1)] = k
    count = torch.bincount(box[box >= 0], minlength=len(boxes))
    return box, count


def sampled(kept: Sequence[Kept], level: int, recipe: Recipe, generator: torch.Generator) -> Sample:
    """All cells that answer for a box, each box weighing 1, and some of those outside."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for one in kept:
        boxes, centre = torch.from_numpy(one.boxes), GRID[level]
        box, count = answers(boxes, level, recipe)
        yes = torch.nonzero(box >= 0)[:, 0]
        no = torch.nonzero(box == -1)[:, 0]
        no = no[torch.randperm(len(no), generator=generator)[: recipe.negatives]]
        x = torch.from_numpy(one.maps[level])
        if len(yes):
            mine = boxes[box[yes]]
            sides = torch.cat([centre[yes] - mine[:, :2], mine[:, 2:] - centre[yes]], dim=1)
            parts.append((x[yes].float(), 1.0 / count[box[yes]].float(), sides / STRIDES[level]))
        parts.append(_outside(x, no))
    return _together(parts)


def mine(kept: Sequence[Kept], level: int, head: nn.Module, recipe: Recipe) -> Sample:
    """The cells outside every box that are surest there is one."""
    parts = []
    for one in kept:
        x = torch.from_numpy(one.maps[level])
        with torch.inference_mode():
            logit = head(x.float())[0]
        box, _ = answers(torch.from_numpy(one.boxes), level, recipe)
        logit[box != -1] = -99.0
        parts.append(_outside(x, logit.topk(recipe.mined).indices))
    return _together(parts)


def _outside(x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[cell].float(), -torch.ones(len(cell)), torch.zeros(len(cell), 4)


def _together(parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Sample:
    return Sample(*(torch.cat(column) for column in zip(*parts, strict=True)))


def learn_level(
    head: Any, sample: Sample, level: int, recipe: Recipe, generator: torch.Generator, *, epochs: int
) -> None:
    """Some epochs over a sample. Stalls weigh a third of what all else weighs; of boxes, complete IoU is learned."""
    yes = sample.weight > 0
    balance = 0.33 * float((~yes).sum()) / max(float(sample.weight[yes].sum()), 1e-6)
    optimiser = torch.optim.AdamW(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = max(epochs * -(-len(yes) // recipe.batch), 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, total_steps=steps)
    for _ in range(epochs):
        for index in torch.randperm(len(yes), generator=generator).split(recipe.batch):
            logit, sides = head(sample.x[index])
            w, right = sample.weight[index], yes[index]
            weight = torch.where(right, w * balance, 1.0)
            error = nn.functional.binary_cross_entropy_with_logits(logit, right.float(), reduction="none")
            loss = (error * weight).sum() / weight.sum()
            if right.any():
                iou = complete_box_iou_loss(_box(sides[right]), _box(sample.sides[index][right]), reduction="none")
                loss = loss + recipe.box_weight * (iou * w[right]).sum() / w[right].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _box(sides: Tensor) -> Tensor:
    return torch.cat([-sides[:, :2], sides[:, 2:]], dim=1)


def learn(kept: Sequence[Kept], recipe: Recipe, checkpoint: Path) -> nn.ModuleList:
    """Heads for these pictures; goes on from the checkpoint when there is one."""
    heads, begun = new_heads(recipe.seed), (0, 0)
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        heads.load_state_dict(saved["heads"])
        begun = (saved["level"], saved["round"])
    for level in range(begun[0], len(STRIDES)):
        head: Any = heads[level]
        generator = torch.Generator().manual_seed(recipe.seed + level)
        sample = sampled(kept, level, recipe, generator)
        first = begun[1] if level == begun[0] else 0
        if first == 0:
            head.mean.data, head.spread.data = sample.x.mean(dim=0), sample.x.std(dim=0) + 1e-3
        for number in range(first, recipe.rounds):
            if number:
                hard = mine(kept, level, head, recipe)
                sample = _together([(s.x, s.weight, s.sides) for s in (sample, hard)])
            learn_level(head, sample, level, recipe, generator, epochs=recipe.epochs)
            torch.save({"heads": heads.state_dict(), "level": level, "round": number + 1}, checkpoint)
    return heads


def told(heads: nn.ModuleList, one: Kept) -> tuple[Tensor, Tensor]:
    """Boxes in source pixels and scores of the surest cells of a picture, best first."""
    boxes, scores = [], []
    for level, head in enumerate(heads):
        with torch.inference_mode():
            logit, sides = head(torch.from_numpy(one.maps[level]).float())
        sides = sides * STRIDES[level]
        boxes.append(torch.cat([GRID[level] - sides[:, :2], GRID[level] + sides[:, 2:]], dim=1))
        scores.append(logit.sigmoid())
    score, best = torch.cat(scores).sort(descending=True)
    inner = torch.from_numpy(one.inner)
    scale = torch.from_numpy(one.size_wh).float() / (inner[2:] - inner[:2])
    xyxy = (torch.cat(boxes)[best[:TOLD]] - inner[:2].repeat(2)) * scale.repeat(2)
    return torch.clamp(xyxy, min=0).minimum(torch.from_numpy(one.size_wh).float().repeat(2)), score[:TOLD]


def held_out(heads: nn.ModuleList, kept: Sequence[Kept], group: dict[str, str], fold: int) -> list[dict[str, Any]]:
    """Rows for the measuring: name, group, fold, true boxes, boxes told and their scores."""
    rows = []
    for one in kept:
        xyxy, score = told(heads, one)
        scale = np.tile(one.size_wh / (one.inner[2:] - one.inner[:2]), 2)
        truth = (one.boxes - np.tile(one.inner[:2], 2)) * scale
        rows.append(
            {
                "name": one.name,
                "group": group[one.name],
                "fold": fold,
                "truth": np.round(truth, 1).tolist(),
                "xyxy": np.round(xyxy.numpy(), 1).tolist(),
                "score": np.round(score.numpy(), 5).tolist(),
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class Material:
    """Everything there is to learn from."""

    stalls: list[Kept]
    real: list[Kept]
    composed: list[Kept]
    fold: dict[str, int]  # by name of a picture of `stalls`

    def taught(self, arm: str, without: int) -> list[Kept]:
        """What an arm learns from when a fold is held out."""
        real = [one for one in self.stalls if self.fold[one.name] != without]
        real += [one for one in self.real if not one.name.startswith(f"fold{without}_")]
        return {"real": real, "composed": self.composed, "both": real + self.composed}[arm]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the real pictures, for their groups")
    parser.add_argument("--start", type=Path, help="YOLO26n's weights as .npz, for --ship")
    parser.add_argument("--ship", choices=ARMS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    recipe, real = Recipe.read(args.recipe), read_real(args.data)
    of, group = fold_of(real), {one.name: one.group for one in real}
    material = Material(
        *(read_kept(args.kept / name) for name in ("stalls", "real", "composed")),
        {name: of[g] for name, g in group.items()},
    )
    if args.ship:
        heads = learn(material.taught(args.ship, EVERY), recipe, args.out / f"{args.ship}_every.pt")
        export(Net(Trunk(args.start), heads), args.out / "model.onnx", SHAPE_HW)
        return
    for arm in ARMS:
        rows: list[dict[str, Any]] = []
        for k in range(FOLDS):
            name = arm if arm == "composed" else f"{arm}_{k}"  # no real picture in it: the same for every fold
            heads = learn(material.taught(arm, k), recipe, args.out / f"{name}.pt")
            rows += held_out(heads, [one for one in material.stalls if material.fold[one.name] == k], group, k)
            print(f"{arm}, fold {k}: done", flush=True)
        (args.out / f"{arm}.json").write_text(json.dumps(rows) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
