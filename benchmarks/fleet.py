"""Does a fleet find each disorder once, where it is, and tell when it is gone? Against worlds whose truth is known.

A world is a seed: `fleet_world.py` makes the district and `fleet_areas.py` its communities, `fleet_drive.py` drives,
`fleet_reports.py` says what the cameras report, `fleet_messages.py` sends it through the shipped tracker and geotag.
The lines then go through the joint engine (`dispatcher/joint`), as `jiexun cases replay` reads
them, and `fleet_score.py`, which defines every figure, compares. In the same table: the same engine told which thing
each sighting is of (the oracle: the distance to it is what association costs), the shipped engine, and the ways of
`fleet_baselines.py`.

    jiexun bench fleet --seeds 1,2,3 --json
    python -m benchmarks.fleet --seeds 7 --keep worlds --build-only    # three files in worlds/7
    python -m benchmarks.fleet --score document.json worlds/7/truth.json

Targets are those for the mean of three worlds, of the joint engine. Replaying it is timed in seconds of one core.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.chart import bars
from benchmarks.fleet_baselines import baselines
from benchmarks.fleet_messages import Size, build, made_from, write
from benchmarks.fleet_score import score
from benchmarks.machine import commit
from dispatcher.area import read_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.document import document
from dispatcher.engine import Engine
from dispatcher.joint.dispatch import Dispatcher as JointDispatcher
from dispatcher.joint.engine import Engine as JointEngine
from dispatcher.replay import replay_lines
from dispatcher.store.store import Store
from jiexun.doctor import processor
from models.taxonomy import Taxonomy
from vision.sighting import Sighting

SEEDS = (1, 2, 3)
NAMES = {
    "joint": "Jiexun, joint",
    "oracle": "oracle: identities told",
    "shipped": "Jiexun, stream",
    "radius": "50 m radius and class",
    "h3": "H3 cell and class",
    "dbscan": "DBSCAN",
    "track": "track id only",
}
COLUMNS: dict[str, tuple[str, ...]] = {
    "F1": ("pairwise", "f1"),
    "prec": ("pairwise", "precision"),
    "recall": ("pairwise", "recall"),
    "B³ F1": ("b_cubed", "f1"),
    "dupl": ("duplicates",),
    "lost": ("lost",),
    "false": ("false",),
    "close P": ("close", "precision"),
    "R": ("close", "recall"),
    "reb R": ("rebound", "recall"),
    "P": ("rebound", "precision"),
    "split": ("bins", "split_or_invented"),
    "swall": ("bins", "swallowed"),
    "1 pass": ("position_m", "of_things", "1", "median"),
    "5-9": ("position_m", "of_things", "5-9", "median"),
    "owner": ("owner", "accuracy"),
    "ECE": ("owner", "ece"),
    "open h": ("open_h", "from_birth", "median"),
    "close h": ("close", "hours", "median"),
}
Check = Callable[[float, float | None], bool]  # figure of the joint engine, of the oracle
TARGETS: dict[str, tuple[tuple[str, ...], str, Check]] = {
    "position, one pass": (("position_m", "of_things", "1", "median"), "≤ 2.0 m", lambda v, _: v <= 2.0),
    "position, five to nine passes": (("position_m", "of_things", "5-9", "median"), "≤ 1.0 m", lambda v, _: v <= 1.0),
    "false cases": (("false",), "≤ 0.02", lambda v, _: v <= 0.02),
    "close precision": (("close", "precision"), "≥ 0.98", lambda v, _: v >= 0.98),
    "close recall": (("close", "recall"), "≥ 0.80", lambda v, _: v >= 0.80),
    "owner accuracy": (("owner", "accuracy"), "≥ 0.97", lambda v, _: v >= 0.97),
    "owner calibration": (("owner", "ece"), "≤ 0.03", lambda v, _: v <= 0.03),
    "pairwise F1": (("pairwise", "f1"), "≥ 0.97, oracle − 0.02", lambda v, o: v >= 0.97 and v >= (o or 0.0) - 0.02),
    "duplicate pushes": (("duplicates",), "≤ 0.02", lambda v, _: v <= 0.02),
    "lost": (("lost",), "≤ oracle + 0.02", lambda v, o: v <= (o or 0.0) + 0.02),
    "rebound recall": (("rebound", "recall"), "≥ 0.90", lambda v, _: v >= 0.90),
    "rebound precision": (("rebound", "precision"), "≥ 0.85", lambda v, _: v >= 0.85),
    "bins split or invented": (("bins", "split_or_invented"), "≤ 0.20", lambda v, _: v <= 0.20),
    "bins swallowed": (("bins", "swallowed"), "≤ 0.02", lambda v, _: v <= 0.02),
}


def main(
    *,
    seeds: Sequence[int] = SEEDS,
    size: Size | None = None,
    json: bool = False,
    keep: Path | None = None,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Measure; tables go to standard error, one line of JSON to standard output. `json` leaves out the tables.

    `keep` is a folder for the worlds: one that lies there already and would be the same is used. `plot` is a file for
    the chart (SVG).
    """
    size = Size() if size is None else size
    worlds = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            worlds.append(measure(seed, size, (keep or Path(scratch)) / str(seed)))
            print(_progress(worlds[-1]), file=sys.stderr)
    systems = {name: mean([world["systems"][name] for world in worlds]) for name in NAMES}
    result = {
        "benchmark": "fleet",
        "seeds": list(seeds),
        "days": size.days,
        "calibrated": size.calibrated,
        "quarter": size.quarter,
        "systems": systems,
        "targets": targets(systems),
        "worlds": worlds,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": processor(),
        "python": platform.python_version(),
        "commit": commit(),
    }
    if not json:
        print(table(result), file=sys.stderr)
    if plot is not None:
        chart(plot, systems)
    print(jsonlib.dumps(result, ensure_ascii=False, allow_nan=False))
    return result


def measure(seed: int, size: Size, folder: Path) -> dict[str, Any]:
    """One world: made, replayed by the joint engine with and without the identities, by the others, and scored."""
    truth, built_s = world(seed, size, folder)
    with ProcessPoolExecutor(2) as pool:
        plain, told = pool.submit(replayed, folder, oracle=False), pool.submit(replayed, folder, oracle=True)
        others = baselines(folder / "world.jsonl", folder / "areas.geojson") | {"shipped": shipped(folder)}
        documents = {"joint": plain.result()[0], "oracle": told.result()[0], **others}
        replay_s = plain.result()[1]
    return {
        "seed": seed,
        "lines": (folder / "world.jsonl").read_bytes().count(b"\n"),
        "megabytes": round((folder / "world.jsonl").stat().st_size / 1e6, 1),
        "built_s": built_s,
        "replay_s": round(replay_s, 1),
        "systems": {name: score(documents[name], truth) for name in NAMES},
    }


def world(seed: int, size: Size, folder: Path) -> tuple[dict[str, Any], float | None]:
    """The truth of a world in a folder, and the seconds it took to make it; None when it lay there already."""
    told = folder / "truth.json"
    if told.is_file():
        truth: dict[str, Any] = jsonlib.loads(told.read_text(encoding="utf-8"))
        if truth.get("made_from") == made_from(seed, size):
            return truth, None
    began = time.perf_counter()
    messages, truth, areas = build(seed, size)
    write(folder, messages, truth, areas)
    return truth, round(time.perf_counter() - began, 1)


def replayed(folder: Path, *, oracle: bool) -> tuple[dict[str, Any], float]:
    """The document that the joint engine makes of a world, and the seconds of one core it took."""
    truth = jsonlib.loads((folder / "truth.json").read_text(encoding="utf-8"))["sightings"] if oracle else {}
    areas, _ = read_areas(folder / "areas.geojson")
    began = time.process_time()
    identify = (lambda sighting: thing_of(truth, sighting)) if oracle else None
    engine = JointEngine(areas, Taxonomy.read(), identify=identify)
    rejected = replay_lines(folder / "world.jsonl", JointDispatcher(engine))
    made = document(engine, rejected)
    return made, time.process_time() - began


def shipped(folder: Path) -> dict[str, Any]:
    """The document that the shipped engine makes of a world."""
    areas, _ = read_areas(folder / "areas.geojson")
    engine = Engine(areas, Taxonomy.read())
    with Store.open("sqlite://") as store:
        rejected = replay_lines(folder / "world.jsonl", Dispatcher(engine, store))
    return document(engine, rejected)


def thing_of(truth: Mapping[str, Mapping[str, Any]], sighting: Sighting) -> str | None:
    """What stands where a sighting was, not since when: which episode it is of is for belief to say."""
    of = truth[sighting.id]["of"]
    return None if of is None else str(of).partition("/")[0]


def mean(values: Sequence[Any]) -> Any:
    """Of figures of the same shape, figure by figure; of those that are None the others' mean."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], Mapping):
        return {name: mean([value[name] for value in known]) for name in known[0]}
    return round(sum(known) / len(known), 4)


def figure(system: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """One figure of a score."""
    value: Any = system
    for name in path:
        value = value[name]
    return None if value is None else float(value)


def targets(systems: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Target by target: the figure, the oracle's, what is asked, and whether it is met."""
    out = {}
    for name, (path, asked, met) in TARGETS.items():
        value, best = figure(systems["joint"], path), figure(systems["oracle"], path)
        out[name] = {"value": value, "oracle": best, "asked": asked, "met": value is not None and met(value, best)}
    return out


def table(result: Mapping[str, Any]) -> str:
    """The figures for people: every system, then every target."""
    lines = [f"{'':24}" + "".join(f"{name:>8}" for name in COLUMNS)]
    for name, words in NAMES.items():
        found = [figure(result["systems"][name], path) for path in COLUMNS.values()]
        lines.append(f"{words:24}" + "".join(f"{'–' if v is None else f'{v:.3f}':>8}" for v in found))
    lines.append("")
    for name, row in result["targets"].items():
        value, best = (("–" if v is None else f"{v:.3f}") for v in (row["value"], row["oracle"]))
        lines.append(
            f"{'met ' if row['met'] else 'MISS'} {name:30}{value:>8}   oracle {best:>6}   asked {row['asked']}"
        )
    owner = result["systems"]["joint"]["owner"]["by_border_m"]
    told = ", ".join(f"{span} m {'–' if v['accuracy'] is None else v['accuracy']}" for span, v in owner.items())
    lines.append(f"owner by distance to the border: {told}")
    lines.append(f"seeds {result['seeds']} · {result['days']:g} days · {result['machine']} · commit {result['commit']}")
    return "\n".join(lines)


def chart(path: Path, systems: Mapping[str, Any]) -> None:
    """Each system's shares, side by side."""
    shown = {
        "pairwise F1": ("pairwise", "f1"),
        "duplicates": ("duplicates",),
        "lost": ("lost",),
        "false": ("false",),
        "close precision": ("close", "precision"),
        "bins split": ("bins", "split_or_invented"),
    }
    series = {
        words: {label: figure(systems[name], path_) for label, path_ in shown.items()} for name, words in NAMES.items()
    }
    bars(path, "Fleet benchmark: cases against the hidden truth (bars end at 1)", series)


def _progress(world: Mapping[str, Any]) -> str:
    own = world["systems"]["joint"]
    made = "was there" if world["built_s"] is None else f"built in {world['built_s']} s"
    figures = f"F1 {own['pairwise']['f1']}, lost {own['lost']}, false {own['false']}"
    size = f"{world['lines']:,} lines, {world['megabytes']} MB"
    return f"seed {world['seed']}: {size}, {made}, replayed in {world['replay_s']} s; {figures}"


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="worlds, e.g. 1,2,3")
    parser.add_argument("--days", type=float, default=Size().days)
    parser.add_argument("--uncalibrated", action="store_true", help="the model's confidences are not probabilities")
    parser.add_argument(
        "--quarter", choices=("ne", "nw", "se", "sw"), default="", help="of the district, as dense as all"
    )
    parser.add_argument("--json", action="store_true", help="no tables")
    parser.add_argument("--keep", type=Path, help="folder to leave the worlds in")
    parser.add_argument("--plot", type=Path, help="SVG to write")
    parser.add_argument("--build-only", action="store_true", help="make the worlds, measure nothing; with --keep")
    parser.add_argument("--score", type=Path, nargs=2, metavar=("DOCUMENT", "TRUTH"), help="score a document, no more")
    args = parser.parse_args(argv)
    if args.score:
        made, truth = (jsonlib.loads(path.read_text(encoding="utf-8")) for path in args.score)
        print(jsonlib.dumps(score(made, truth)))
        return
    seeds, size = seeds_of(args.seeds), Size(days=args.days, calibrated=not args.uncalibrated, quarter=args.quarter)
    if args.build_only:
        for seed in seeds:
            world(seed, size, (args.keep or Path("worlds")) / str(seed))
        return
    main(seeds=seeds, size=size, json=args.json, keep=args.keep, plot=args.plot)


def seeds_of(text: str) -> list[int]:
    """Seeds written with commas between. Raises ValueError that names the one that is none."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"seeds are whole numbers with commas between, got {text!r}") from None


if __name__ == "__main__":
    command()
