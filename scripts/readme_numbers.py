"""Writes the number blocks of both READMEs from what was measured: `python scripts/readme_numbers.py`.

Between `<!-- numbers:NAME -->` and `<!-- /numbers -->` stands what models/streetscape-v1/measured.toml and
the files in benchmarks/results/ say. With `--check` nothing is written and the exit status says whether it would be.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CLASSES = {"garbage": "暴露垃圾", "garbage_bin": "垃圾桶，不属于问题", "overflow_bin": "垃圾箱满溢"}
WAYS = {
    "c": ("**shipped path: bytes to detections**", "**出厂路径：JPEG 字节 → 检出结果**"),
    "d": ("limit: every core only decodes and runs the engine", "上限：各核只做解码与推理"),
    "b": ("bare engine, pictures lying ready", "仅推理引擎，图片已备好"),
    "a2": ("ultralytics predict, same shape, fp32", "ultralytics predict，相同输入尺寸，fp32"),
    "a1": ("ultralytics predict, square 640, fp32", "ultralytics predict，640×640，fp32"),
}


def accuracy(measured: dict[str, Any], *, chinese: bool) -> str:
    """AP by class on the test split."""
    table = measured["metrics"]["test"]
    heading = "class | AP50 | AP50-95 | precision | recall | boxes"
    if chinese:
        heading = "类别 | AP50 | AP50-95 | 精确率 | 召回率 | 标注框"
    lines = [f"| {heading} |", "|---|---|---|---|---|---|"]
    for kind, name in CLASSES.items():
        row = table[kind]
        numbers = " | ".join(f"{row[key]:.3f}" for key in ("ap50", "ap50_95", "precision", "recall"))
        lines.append(f"| {kind}{f'（{name}）' if chinese else ''} | {numbers} | {row['boxes']} |")
    lines.append(f"| mean{'（平均）' if chinese else ''} | {table['map50']:.3f} | {table['map50_95']:.3f} | | | |")
    return "\n".join(lines)


def accurate(measured: dict[str, Any], result: dict[str, Any], *, chinese: bool) -> str:
    """The accurate variant in a sentence."""
    table = measured["metrics"]["test"]
    street = measured["metrics"]["test_street_frames"]["map50"]
    aps = (table[kind]["ap50"] for kind in CLASSES)
    own = next(row for row in result["rows"] if "accurate" in row["name"])
    slower = own["time_of_default"]
    if chinese:
        names = "、".join(f"{name.split('，')[0]} {ap:.3f}" for name, ap in zip(CLASSES.values(), aps, strict=True))
        return (
            f"测试集 mAP50 为 {table['map50']:.3f}（{names}），其中车侧视角照片为 {street:.3f}，"
            f"耗时约为默认模型的 {slower:.0f} 倍（[精度与速度对照](docs/models.md#what-accuracy-costs)）。"
        )
    names = ", ".join(f"{kind} {ap:.3f}" for kind, ap in zip(CLASSES, aps, strict=True))
    return (
        f"mAP50 {table['map50']:.3f} ({names}), {street:.3f} on those 23, at about {slower:.0f} times the time\n"
        f"([what accuracy costs](docs/models.md#what-accuracy-costs))."
    )


def hotpath(result: dict[str, Any], *, chinese: bool) -> str:
    """Pictures a second by way, and the ratios."""
    sizes = result["sizes"]
    first = "单进程，2 核，张/秒" if chinese else "one process, pictures/s"
    kilobytes = {name: size["kilobytes"] for name, size in sizes.items()}
    lines = [f"| {first} | " + " | ".join(f"{name} ({kilobytes[name]} KB)" for name in sizes) + " |", "|---|---|---|"]
    for way, names in WAYS.items():
        if all(way in size["ways"] for size in sizes.values()):
            fps = " | ".join(f"{size['ways'][way]['fps']:.0f}" for size in sizes.values())
            lines.append(f"| {names[chinese]} | {fps} |")
    labels = {
        "ratio_to_limit": ("shipped / limit", "出厂路径 / 上限"),
        "ratio_to_same_shape": ("shipped / ultralytics, same shape", "出厂路径 / ultralytics（相同尺寸）"),
        "ratio_to_default": ("shipped / ultralytics, square 640", "出厂路径 / ultralytics（640×640）"),
    }
    for key, names in labels.items():
        if all(size[key] is not None for size in sizes.values()):
            lines.append(f"| {names[chinese]} | " + " | ".join(f"{size[key]:.2f}" for size in sizes.values()) + " |")
    km = result["street_km_per_core_hour"]
    loss = result["map50_loss"]
    machine = f"{result['processor']}, {result['cores']} {'核' if chinese else 'cores'}"
    if chinese:
        text = (
            f"{machine}（共享机器；比值为 {result['rounds']} 轮的中位数），{result['engine']}，{result['date']}。"
            f"INT8 相对 fp32 在测试集上的 mAP50 损失：{loss:.4f}。"
            f"每核每小时可巡查街道：逐帧 {km['every_frame']:.0f} 公里，按米采样后 {km['sampled']:.0f} 公里。"
        )
    else:
        text = (
            f"{machine} (a shared machine; ratios are medians of {result['rounds']} rounds), {result['engine']}, "
            f"{result['date']}. mAP50 that INT8 loses against fp32 on the test split: {loss:.4f}.\n"
            f"Street-kilometres per core-hour: {km['every_frame']:.0f} looking at every frame of a 25 fps camera, "
            f"{km['sampled']:.0f} when frames are chosen by metres."
        )
    return "\n".join([*lines, "", text])


def latency(result: dict[str, Any], *, chinese: bool) -> str:
    """Milliseconds by load of the default arrangement."""
    first = (
        "到达速率 / 饱和速率 | p50 毫秒 | p95 | p99 | 拒收 | 内存变化"
        if chinese
        else ("offered load / saturation | p50 ms | p95 | p99 | refused | memory")
    )
    lines = [f"| {first} |", "|---|---|---|---|---|---|"]
    for row in result["arrangements"]["default"]["loads"]:
        times = " | ".join(f"{row[key]:.0f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        lines.append(f"| {row['load']:g} | {times} | {row['refused']:.0%} | {row['rss_growth_mb']:+.1f} MB |")
    saturation = result["arrangements"]["default"]["saturation_fps"]
    machine, cores, engine, date = (result[key] for key in ("processor", "cores", "engine", "date"))
    told = (
        f"1080p，{machine}，{cores} 核，{engine}，{date}；饱和速率 {saturation:.0f} 张/秒。"
        if chinese
        else f"1080p, {machine}, {cores} cores, {engine}, {date}; saturated at {saturation:.0f} pictures/s."
    )
    return "\n".join([*lines, "", told])


def memory(result: dict[str, Any], *, chinese: bool) -> str:
    """Whether memory stays flat, in one sentence."""
    first, last, many = result["rss_first_mb"], result["rss_last_mb"], f"{result['frames']:,}"
    machine, cores, date = (result[key] for key in ("processor", "cores", "date"))
    if chinese:
        return (
            f"连续处理 {many} 张图片，常驻内存由 {first:.0f} MB 变为 {last:.0f} MB（{machine}，{cores} 核，{date}）。"
        )
    return f"Over {many} pictures memory went from {first:.0f} to {last:.0f} MB ({machine}, {cores} cores, {date})."


def frontier(result: dict[str, Any]) -> str:
    """Accuracy beside speed, by variant."""
    columns = ["variant", "val mAP50", "test mAP50", "50-95", "garbage", "bin", "overflow"]
    columns += ["street val", "street test", "bins in the street", "pictures/s", "time"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in result["rows"]:
        test, street = row["test"], row["street"]
        low, high = street["interval"]
        cells = [row["name"], *(f"{value:.3f}" for value in (row["val"]["map50"], test["map50"], test["map50_95"]))]
        cells += [f"{test['ap50'][kind]:.3f}" for kind in CLASSES]
        cells += [f"{row[split]['map50']:.3f}" for split in ("val_street", "test_street")]
        cells += [
            f"{street['ap50']:.3f} ({low:.3f} to {high:.3f})",
            f"{row['fps']:.0f}",
            f"{row['time_of_default']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    street = result["rows"][0]["street"]
    machine = f"{result['processor']}, {result['cores']} cores, a shared and busy machine, {result['date']}"
    low, high = _least(result), _most(result)
    told = (
        f"Pictures a second: JPEGs of 1080p to detections, {machine};",
        f"medians of {result['rounds']} rounds in turns; p10 and p90 lie {low:.1f} to {high:.1f} times as high.",
        "Time: median of the rounds' own ratios to the default (384x640 int8), which others disturb less.",
        "Street: mAP50 on the pictures that look like a vehicle's side camera. Bins in the street: mean AP50",
        f"of bins and overflowing bins on the {street['images']} of both splits, with its interval over sites:",
        f"these are {street['sites']}, so it says little.",
    )
    return "\n".join([*lines, "", *told])


def _least(result: dict[str, Any]) -> float:
    return min(row["p10"] / row["fps"] for row in result["rows"])


def _most(result: dict[str, Any]) -> float:
    return max(row["p90"] / row["fps"] for row in result["rows"])


def filled(text: str, name: str, block: str) -> str:
    """`text` with the block between the markers of that name."""
    pattern = rf"(<!-- numbers:{name} -->\n).*?(\n<!-- /numbers -->)"
    found, count = re.subn(pattern, lambda match: f"{match[1]}{block}{match[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"there are {count} blocks numbers:{name}, not one")
    return found


def main() -> None:
    measured = tomllib.loads((ROOT / "models/streetscape-v1/measured.toml").read_text(encoding="utf8"))
    longer = tomllib.loads((ROOT / "models/streetscape-v1-accurate/measured.toml").read_text(encoding="utf8"))
    results = ROOT / "benchmarks/results"
    costs = json.loads((results / "frontier.json").read_text(encoding="utf8"))
    blocks = {"hotpath": hotpath, "latency": latency, "memory": memory}
    found = {name: json.loads((results / f"{name}.json").read_text(encoding="utf8")) for name in blocks}
    stale = []
    for page, chinese in (("README.md", False), ("README.zh-CN.md", True)):
        path = ROOT / page
        before = path.read_text(encoding="utf8")
        text = filled(before, "accuracy", accuracy(measured, chinese=chinese))
        text = filled(text, "accurate", accurate(longer, costs, chinese=chinese))
        for name, block in blocks.items():
            text = filled(text, name, block(found[name], chinese=chinese))
        if text != before:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf8")
    path = ROOT / "docs/models.md"
    before = path.read_text(encoding="utf8")
    text = filled(before, "frontier", frontier(costs))
    if text != before:
        stale.append("docs/models.md")
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf8")
    print(f"{'stale' if '--check' in sys.argv else 'written'}: {', '.join(stale) or 'none'}")
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
