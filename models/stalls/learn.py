"""Learn the heads, three arms and three folds: `python -m models.stalls.learn count|solve|say|ship OUT …`, in turn.

`count` adds up what `models.stalls.features` kept in DIR: stalls/ (the real pictures, as they are), real/ (those made
of each fold's own, named fold0_… and so on) and composed/. `solve` is the learning: from OUT/counts.npz to
OUT/heads.npz, for every arm without each fold, and with all. `say` writes OUT/ARM.json: what the heads that did not
learn from a picture's fold say of it, for `python -m vision.stalls`. `ship` makes a whole net of an arm's heads that
learned from everything, OUT/model.onnx: what it is worth is what the folds say.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.stalls.head import CHANNELS, SHAPE_HW, STRIDES, Head, Recipe, Sums, solved, sums
from models.stalls.kept import Kept
from models.stalls.real import FOLDS, fold_of, read_real

ARMS = ("real", "composed", "both")
TOLD = 200  # cells of a held-out picture that are written down
EVERY = -1  # no fold is held out
COMPOSED = "composed"

Levels = tuple[Sums, ...]


def read_recipe(path: Path) -> Recipe:
    """The numbers of a recipe file."""
    table = tomllib.loads(path.read_text(encoding="utf8"))["learn"]
    return Recipe(**table | {"sizes_px": tuple((low, high) for low, high in table["sizes_px"])})


def unit_of(path: Path, fold: Mapping[str, int]) -> str:
    """What a kept picture is counted with: composed ones together, real ones by fold. `fold` is by name."""
    if path.parent.name == COMPOSED:
        return COMPOSED
    return f"real_{fold[path.stem] if path.parent.name == 'stalls' else path.stem[len('fold')]}"


def units(arm: str, without: int) -> list[str]:
    """What an arm learns from when a fold is held out."""
    real = [f"real_{k}" for k in range(FOLDS) if k != without]
    return {"real": real, "composed": [COMPOSED], "both": [*real, COMPOSED]}[arm]


def count(files: Sequence[Path], fold: Mapping[str, int], recipe: Recipe) -> dict[str, Levels]:
    """The sums of every unit."""
    out = {unit: tuple(Sums.none(c) for c in CHANNELS) for unit in (*units("real", EVERY), COMPOSED)}
    for path in files:
        kept, unit = Kept.read(path), unit_of(path, fold)
        seen = (sums(kept.level(k), kept.boxes, k, recipe) for k in range(len(STRIDES)))
        out[unit] = tuple(a + b for a, b in zip(out[unit], seen, strict=True))
    return out


def solve(counts: Mapping[str, Levels], names: Sequence[str], recipe: Recipe) -> list[Head]:
    """One head a level, from these units."""
    return [solved([counts[name][level] for name in names], recipe) for level in range(len(STRIDES))]


def say(heads: Sequence[Head], kept: Kept) -> dict[str, Any]:
    """Of one picture, in its own pixels: true boxes, and the surest cells with their boxes, best first."""
    told = [head.told(kept.level(level), level) for level, head in enumerate(heads)]
    xyxy, score = (np.concatenate(column) for column in zip(*told, strict=True))
    best = np.argsort(-score, kind="stable")[:TOLD]
    return {
        "truth": np.round(kept.in_source(kept.boxes), 1).tolist(),
        "xyxy": np.round(kept.in_source(xyxy[best]), 1).tolist(),
        "score": np.round(score[best], 6).tolist(),
    }


def write_counts(path: Path, counts: Mapping[str, Levels]) -> None:
    """Every unit, level and sum under a name of its own."""
    arrays: dict[str, Any] = {
        f"{unit}/{level}/{name}": getattr(one, name)
        for unit, levels in counts.items()
        for level, one in enumerate(levels)
        for name in Sums.__slots__
    }
    np.savez(path, **arrays)


def read_counts(path: Path) -> dict[str, Levels]:
    """What `write_counts` wrote."""
    with np.load(path) as z:
        names = sorted({key.split("/")[0] for key in z.files})
        return {unit: tuple(_sums(z, f"{unit}/{level}") for level in range(len(STRIDES))) for unit in names}


def _sums(z: Any, prefix: str) -> Sums:
    return Sums(*(z[f"{prefix}/{name}"] for name in Sums.__slots__))


def write_heads(path: Path, heads: Mapping[tuple[str, int], Sequence[Head]]) -> None:
    """By arm and fold held out."""
    arrays: dict[str, Any] = {}
    for (arm, k), levels in heads.items():
        for level, head in enumerate(levels):
            arrays[f"{arm}/{k}/{level}/weight"], arrays[f"{arm}/{k}/{level}/bias"] = head.weight, head.bias
    np.savez(path, **arrays)


def read_heads(path: Path, arm: str, without: int) -> list[Head]:
    """One head a level."""
    with np.load(path) as z:
        return [Head(*(z[f"{arm}/{without}/{k}/{name}"] for name in Head.__slots__)) for k in range(len(STRIDES))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("count", "solve", "say", "ship"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=Path(__file__).with_name("recipe.toml"))
    parser.add_argument("--kept", type=Path, help="of count and say")
    parser.add_argument("--data", type=Path, help="of count and say: the real pictures, for their groups")
    parser.add_argument("--arm", choices=ARMS, default="both", help="of ship")
    parser.add_argument("--start", type=Path, help="of ship: YOLO26n's weights as .npz")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(args.recipe)
    if args.step == "count":
        files = [path for name in ("stalls", "real", COMPOSED) for path in sorted((args.kept / name).glob("*.npz"))]
        write_counts(args.out / "counts.npz", count(files, _folds(args.data), recipe))
        print(f"{len(files)} pictures counted")
    elif args.step == "solve":
        counts = read_counts(args.out / "counts.npz")
        every = [(arm, k) for arm in ARMS for k in (*range(FOLDS), EVERY)]
        write_heads(args.out / "heads.npz", {(arm, k): solve(counts, units(arm, k), recipe) for arm, k in every})
    elif args.step == "say":
        _say_all(args.out, args.kept / "stalls", args.data)
    else:
        from models.stalls.net import Net, Trunk, export  # torch: learning does without

        heads = read_heads(args.out / "heads.npz", args.arm, EVERY)
        export(Net(Trunk(args.start), heads), args.out / "model.onnx", SHAPE_HW)


def _folds(data: Path) -> dict[str, int]:
    """By name of a real picture."""
    real = read_real(data)
    of = fold_of(real)
    return {one.name: of[one.group] for one in real}


def _say_all(out: Path, stalls: Path, data: Path) -> None:
    fold, group = _folds(data), {one.name: one.group for one in read_real(data)}
    heads = {(arm, k): read_heads(out / "heads.npz", arm, k) for arm in ARMS for k in range(FOLDS)}
    rows: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for path in sorted(stalls.glob("*.npz")):
        kept = Kept.read(path)
        facts = {"name": kept.name, "group": group[kept.name], "fold": fold[kept.name]}
        for arm in ARMS:
            rows[arm].append(facts | say(heads[arm, fold[kept.name]], kept))
    for arm in ARMS:
        (out / f"{arm}.json").write_text(json.dumps(rows[arm]) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
