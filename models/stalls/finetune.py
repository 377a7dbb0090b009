"""Fine-tune a whole net, three arms and three folds: `python -m models.stalls.finetune learn|say OUT …`, in turn.

`learn` runs what --runs names, in that order, each from where it was stopped: `composed` on pictures that show no real
stall; `real_K` from COCO's weights, and `both_K` from what `composed` came to, on pictures of all folds but K.
`both_all` leaves none out. `say` writes OUT/ARM.json for every arm whose runs are there: what the net that did not
learn from a picture's fold says of it, for `python -m vision.stalls`.
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARMS = ("real", "composed", "both")
FOLDS = 3
TOLD = 200  # boxes of a held-out picture that are written down
LEAST = 0.001  # score of a box that is
LAST_RATE = 0.02  # of the first

Pictures = Mapping[int, Sequence[Path]]  # by fold


def cosine(step: int, steps: int, warmup: int) -> float:
    """The rate of a step, numbered from 1, as a share of the highest."""
    along = min(step / steps, 1.0)
    return min(1.0, step / warmup) * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * along)) / 2)


def arm_and_fold(run: str) -> tuple[str, int | None]:
    """`both_1` is ("both", 1): fold 1 is held out. Raises ValueError for what is no run."""
    arm, _, fold = run.partition("_")
    if (arm, fold) == ("composed", "") or (arm in ("real", "both") and fold == "all"):
        return arm, None
    if arm in ("real", "both") and fold in {str(k) for k in range(FOLDS)}:
        return arm, int(fold)
    raise ValueError(f"{run} is no run: composed, real_0 … real_{FOLDS - 1}, both_0 … or both_all")


def learned_from(
    run: str, *, composed: Sequence[Path], made: Pictures, originals: Pictures, schedule: Mapping[str, Any]
) -> list[Path]:
    """The pictures of a run. Of a fold held out neither a picture nor what was made of one is among them."""
    arm, without = arm_and_fold(run)
    if arm == "composed":
        return list(composed)
    real = [
        path
        for k in range(FOLDS)
        if k != without
        for path in (*made[k], *(one for one in originals[k] for _ in range(schedule["originals"])))
    ]
    share = schedule["composed_share"] if arm == "both" else 0.0
    return [*composed[: round(share * len(composed))], *real]


def row(
    xywh: NDArray[np.float32],
    score: NDArray[np.float32],
    inner: NDArray[np.float32],
    size_wh: tuple[int, int],
    truth: Sequence[tuple[float, float, float, float]],
) -> dict[str, Any]:
    """Of one picture, in its own pixels. `xywh` is of the input, where the picture lies at `inner`, x1, y1, x2, y2."""
    best = np.argsort(-score, kind="stable")[:TOLD]
    best = best[score[best] >= LEAST]
    centre, half = xywh[best, :2], xywh[best, 2:] / 2
    xyxy = np.concatenate([centre - half, centre + half], axis=1) - np.tile(inner[:2], 2)
    size = np.tile(np.array(size_wh, np.float32), 2)
    xyxy = np.clip(xyxy / np.tile(inner[2:] - inner[:2], 2) * size, 0, size)
    return {
        "truth": np.round(np.array(truth, np.float32).reshape(-1, 4) * size, 1).tolist(),
        "xyxy": np.round(xyxy, 1).tolist(),
        "score": np.round(score[best], 6).tolist(),
    }


def run_of(arm: str, fold: int) -> str:
    """The run that says what an arm is worth on a fold."""
    return arm if arm == "composed" else f"{arm}_{fold}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("learn", "say"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).with_name("finetune.toml"))
    parser.add_argument("--start", type=Path, required=True, help="YOLO26n's weights as .npz")
    parser.add_argument("--data", type=Path, required=True, help="the real pictures")
    parser.add_argument("--composed", type=Path, help="of learn: what models.stalls.compose made")
    parser.add_argument("--real", type=Path, help="of learn: what models.stalls.real made")
    parser.add_argument("--runs", nargs="+", default=["composed", *(f"both_{k}" for k in range(FOLDS))])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="bf16 forward pass: faster on some CPUs, slower on others")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (_learn if args.step == "learn" else _say)(args)


def _learn(args: argparse.Namespace) -> None:
    from models.stalls import tune  # torch: tests and figures do without
    from models.stalls.real import fold_of, read_real
    from models.train import Recipe

    recipe, schedule = Recipe.read(args.recipe), tomllib.loads(args.recipe.read_text(encoding="utf8"))["schedule"]
    real = read_real(args.data)
    fold = fold_of(real)
    tune.threads(args.threads)
    for run in args.runs:
        arm, _ = arm_and_fold(run)
        files = learned_from(
            run,
            composed=sorted((args.composed / "images").glob("*.jpg")),
            made={k: sorted((args.real / "images").glob(f"fold{k}_*.jpg")) for k in range(FOLDS)},
            originals={k: [one.path for one in real if fold[one.group] == k] for k in range(FOLDS)},
            schedule=schedule,
        )
        net = tune.from_coco(args.start, recipe)
        if arm == "both":
            net = tune.with_mean(net, args.out / "composed" / "last.pt")
        going = tune.Tune(net, recipe, schedule["steps"][arm], bf16=args.bf16)
        print(f"{run}: {len(files)} pictures, {tune.weights(net):,} weights, {going.steps} steps", flush=True)
        tune.learn(going, files, recipe, args.out / run, schedule["keep_every"])


def _say(args: argparse.Namespace) -> None:
    from models.stalls import tune
    from models.stalls.real import fold_of, read_real
    from models.train import Recipe

    recipe, real = Recipe.read(args.recipe), read_real(args.data)
    fold = fold_of(real)
    tune.threads(args.threads)
    for arm in ARMS:
        kept = [args.out / run_of(arm, k) / "last.pt" for k in range(FOLDS)]
        if not all(path.is_file() for path in kept):
            continue
        rows: list[dict[str, Any]] = []
        for k, path in enumerate(kept):
            net = tune.with_mean(tune.from_coco(args.start, recipe), path)
            held_out = [one for one in real if fold[one.group] == k]
            rows += [{"name": one.name, "group": one.group, "fold": k} | tune.told(net, one) for one in held_out]
        rows.sort(key=lambda one: one["name"])
        (args.out / f"{arm}.json").write_text(json.dumps(rows) + "\n", encoding="utf8")
        print(f"{arm}: {len(rows)} pictures", flush=True)


if __name__ == "__main__":
    main()
