"""How many pictures a second does the shipped path look at, and how much of what the machine could do is that?

JPEG bytes go in, detections come out; one process, all cores. The ways, over the same bytes in turns, in one call:

  a1  ultralytics' predict on our float ONNX at its default square 640: what people do today (if it is installed)
  a2  the same at the shape that ships, 384 × 640
  b   the bare engine, one session a core, fed pictures that lie ready in its canvas
  c   the shipped path, from bytes to detections
  d   the limit: every core busy with nothing but the bare scaled decode and the bare engine, of the same precision and
      shape. Four arrangements of sessions and threads are tried; the one with the highest median counts

Pictures: the sample drive's, cut to 16:9, scaled to 1920 × 1080 and 1280 × 720, encoded as JPEG of quality 93 (about
430 KB at 1080p, as a vehicle's are). Each figure is a median over the rounds, in each of which c and its rivals take
three turns; ratios are medians of the rounds' own ratios, so that a machine that others use too disturbs both sides
alike. A c above 1.02 × d would mean that d was weak: that is an error.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.plot import Words, bars
from benchmarks.street_km import Cost, gate_cost_s, sample_way, street_km
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from benchmarks.ways import Way, ways
from models.card import Card, find_card
from vision.engine import cores

ROUNDS = 12
WEAK = 1.02  # c over d above which d was no limit
RESULTS = Path(__file__).parent / "results"


def main(*, json: bool = False, sample: Path = SAMPLE, rounds: int = ROUNDS, save: bool = False) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output with `json`.

    Raises FileNotFoundError without the sample drive, ModelUnusable without the model, RuntimeError for a weak limit.
    """
    load = round(os.getloadavg()[0], 2)  # of the minute before: much above 0, and others were at work too
    card = find_card("streetscape-v1")
    with_spread = {}
    notes: set[str] = set()
    for name in SIZES_WH:
        jpegs = pictures(sample, SIZES_WH[name])
        with ways(card, jpegs) as (tried, note):
            notes |= note
            with_spread[name] = figures(measured(tried, rounds)) | {"kilobytes": round(mean(map(len, jpegs)) / 1e3)}
    result = {
        "benchmark": "hotpath",
        **{key: with_spread["1080p"][key] for key in RATIOS},
        "map50_loss": map50_loss(card),
        "fps": with_spread["1080p"]["ways"]["c"]["fps"],
        "street_km_per_core_hour": street_km(sample_way(sample), cost(with_spread["1080p"], sample)),
        "sizes": with_spread,
        "rounds": rounds,
        "notes": sorted(notes),
        "load_before": load,
        **machine(card),
    }
    print(table(result), file=sys.stderr)
    if save:
        (RESULTS / "hotpath.json").write_text(jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf8")
        draw(result)
    if json:
        print(jsonlib.dumps(result, allow_nan=False, ensure_ascii=False))
    for name, row in with_spread.items():
        if row["ratio_to_limit"] > WEAK:
            raise RuntimeError(
                f"c is {row['ratio_to_limit']:.3f} × d at {name}: d was no limit; run it on a calm machine"
            )
    return result


RATIOS = {"ratio_to_limit": "d", "ratio_to_default": "a1", "ratio_to_same_shape": "a2"}


def measured(tried: Sequence[Way], rounds: int) -> dict[str, list[float]]:
    """Pictures a second of every way in every round. Ways take turns; their order is reversed turn by turn.

    A way of several turns has several in every round, each beside one of its rivals: what disturbs a machine for a
    second or two then disturbs them alike.
    """
    fps: dict[str, list[float]] = {way.name: [] for way in tried}
    for way in tried:
        way.fps()  # warm-up
    for _ in range(rounds):
        seconds = dict.fromkeys(fps, 0.0)
        for turn in range(max(way.turns for way in tried)):
            for way in tried if turn % 2 == 0 else reversed(tried):
                if turn < way.turns:
                    seconds[way.name] += 1 / way.fps()
        for way in tried:
            fps[way.name].append(way.turns / seconds[way.name])
    return fps


def figures(fps: dict[str, list[float]]) -> dict[str, Any]:
    """Medians with their spread, and the ratios of c to the others."""
    rows = {name: summary(values) for name, values in fps.items()}
    limits = {name: row for name, row in rows.items() if name.startswith("d")}
    best = max(limits, key=lambda name: limits[name]["fps"])
    rows["d"] = limits[best] | {"arrangement": best}
    against = fps | {"d": fps[best]}
    ratios: dict[str, Any] = {}
    for key, other in RATIOS.items():
        if other in against:
            of_rounds = np.array(fps["c"]) / np.array(against[other])
            low, middle, high = np.percentile(of_rounds, [10, 50, 90])
            ratios |= {key: round(float(middle), 4), f"{key}_spread": [round(float(low), 4), round(float(high), 4)]}
        else:
            ratios[key] = None
    return {"ways": rows, **ratios}


def summary(values: Sequence[float]) -> dict[str, Any]:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return {"fps": round(float(middle), 2), "p10": round(float(low), 2), "p90": round(float(high), 2)}


def map50_loss(card: Card) -> float:
    """mAP50 on the test split that the shipped precision loses against the float file; measured.toml has it."""
    return round(float(card.metrics["test_fp32"]["map50"] - card.metrics["test"]["map50"]), 4)


def cost(figures: dict[str, Any], sample: Path) -> Cost:
    """What a frame of 1080p costs: on the shipped path as just measured, and at the gate."""
    gate_s = gate_cost_s(pictures(sample, SIZES_WH["1080p"]), SIZES_WH["1080p"])
    return Cost(fps=figures["ways"]["c"]["fps"], cores=cores(), gate_s=gate_s)


def draw(result: dict[str, Any]) -> None:
    """The ways side by side."""
    shown = [way for way in NAMES if all(way in size["ways"] for size in result["sizes"].values())]
    values = {size: [row["ways"][way]["fps"] for way in shown] for size, row in result["sizes"].items()}
    note = f"{result['engine']}, {result['processor']}, {result['cores']} cores, {result['date']}"
    words = Words(title="Looking at JPEGs, one process", x="", y="pictures a second", note=note)
    bars(RESULTS / "hotpath.png", [f"{way}: {SHORT[way]}" for way in shown], values, words)


SHORT = {"a1": "ultralytics square", "a2": "ultralytics 384x640", "b": "bare engine", "c": "shipped path", "d": "limit"}
NAMES = {
    "a1": "ultralytics predict, 640 × 640",
    "a2": "ultralytics predict, 384 × 640",
    "b": "bare engine, pictures ready",
    "c": "shipped: bytes to detections",
    "d": "limit: bare decode and engine",
}


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = []
    for name, size in result["sizes"].items():
        lines.append(
            f"{name} ({size['kilobytes']} KB a picture)         pictures/s   p10 – p90 of {result['rounds']} rounds"
        )
        for way, row in size["ways"].items():
            if way in NAMES:
                lines.append(f"  {way:3}{NAMES[way]:34}{row['fps']:>9.1f}   {row['p10']:.1f} – {row['p90']:.1f}")
        for way, row in size["ways"].items():
            if way not in NAMES:
                lines.append(f"     {way:34}{row['fps']:>9.1f}   {row['p10']:.1f} – {row['p90']:.1f}")
        for key, other in RATIOS.items():
            ratio = "not measured" if size[key] is None else f"{size[key]:.3f}  ({size[f'{key}_spread']})"
            lines.append(f"  c/{other}: {ratio}")
    for name, km in result["street_km_per_core_hour"].items():
        lines.append(f"street-km per core-hour, {name.replace('_', ' ')}: {km:,.1f}")
    lines.append(f"mAP50 lost against the float file on the test split: {result['map50_loss']:.4f}")
    lines += result["notes"]
    lines.append(
        f"{result['engine']} · {result['processor']}, {result['cores']} cores · load before {result['load_before']}"
    )
    lines.append(f"{result['date']} · commit {result['commit']}")
    return "\n".join(lines)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="folder with at least 16 pictures")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results/hotpath.json")
    args = parser.parse_args(argv)
    try:
        main(json=args.json, sample=args.sample, rounds=args.rounds, save=args.save)
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command()
