"""How much of the faces, heads and plates of a hand-labelled set the privacy gate covers, and how much else.

Found: at least 70 % of the labelled box is covered. False: a covered region that touches no label, fallbacks included.
`outside` is the part of the pixels outside labels that are covered. Labels are in `benchmarks/privacy_labels/`; the
pictures are not copied: they are read from a data folder and known by their sha256. The gate's thresholds were chosen
on one half of the pictures, by the first digit of that hash, and are judged on the other.
"""

from __future__ import annotations

import hashlib
import json as jsonlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from time import thread_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import where
from vision.engine import cores
from vision.privacy import FaceBlur

LABELS = Path(__file__).parent / "privacy_labels" / "labels.json"
OUT = Path(__file__).parent / "results" / "privacy.json"
FOUND = 0.7  # of a labelled box
BINS = (0, 8, 16, 32)  # pixels; of a box's shorter side
FACE_PX, PLATE_PX = 32, 16  # GB/T 44464-2024, 5.6.2
KINDS = ("face", "head", "plate")
MARK = {"found": 0.9, "false": 0.1}
HALVES = ("tune", "judge")

Mask = NDArray[np.bool_]
Size = Callable[["Label"], int]


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled box, and whether it was covered. Groups and posters are boxes, too, but are not counted."""

    kind: str  # "face", "head" (seen from behind, or too small to tell) or "plate"
    data: str  # folder of the picture
    size_wh: tuple[int, int]
    covered: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """One picture: its labels, its regions, and of how many pixels outside labels how many were covered."""

    half: str  # of HALVES
    cpu_s: float  # processor time of finding the regions
    labels: list[Label]
    regions: int
    false: int
    outside_px: int
    changed_px: int


def main(*, data: Path, json: bool = False, save: bool = False) -> None:
    """Measure, print, and keep where asked."""
    result = where() | measured(data)
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    print(jsonlib.dumps(result, ensure_ascii=False) if json else table(result))


def measured(data: Path) -> dict[str, Any]:
    """All pictures of the labels that are in the data folder. Raises OSError when there is none."""
    listed = jsonlib.loads(LABELS.read_text(encoding="utf8"))["pictures"]
    own = local()  # of each thread: its gate, as where evidence is made

    def one(row: dict[str, Any]) -> Looked | None:
        if not hasattr(own, "blur"):
            own.blur = FaceBlur()
        image = read(data / row["data"] / row["file"], row)
        return None if image is None else look(image, row, own.blur)

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(cores()) as pool:
        looked = [seen for seen in pool.map(one, listed) if seen is not None]
    if not looked:
        raise OSError(f"none of the labelled pictures is in {data}")
    halves = {half: summed([one for one in looked if one.half == half]) for half in HALVES}
    return summed(looked) | halves | {"missing": len(listed) - len(looked), "mark": MARK}


def half_of(sha256: str) -> str:
    """Which half a picture is of: thresholds are tuned on the one and judged on the other."""
    return HALVES[int(sha256[0], 16) % 2]


def read(path: Path, row: dict[str, Any]) -> NDArray[np.uint8] | None:
    """The picture as it was labelled; None when it is not there or another one."""
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
        return None
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return None
    width, height = row["size_wh"]
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def look(image: NDArray[np.uint8], row: dict[str, Any], blur: FaceBlur) -> Looked:
    """What the gate covers of one picture, beside its labels."""
    started = thread_time()
    regions = blur.regions(image)
    cpu_s = thread_time() - started
    shape = (image.shape[0], image.shape[1])
    covered = mask(shape, regions)
    boxes = [tuple(box["xyxy"]) for box in row["boxes"]]
    labelled = mask(shape, boxes)
    labels = [
        Label(box["kind"], row["data"], (x2 - x1, y2 - y1), bool(covered[y1:y2, x1:x2].mean() >= FOUND))
        for box, (x1, y1, x2, y2) in zip(row["boxes"], boxes, strict=True)
        if box["kind"] in KINDS
    ]
    false = sum(not labelled[y1:y2, x1:x2].any() for x1, y1, x2, y2 in regions)
    outside = ~labelled
    half = half_of(row["sha256"])
    return Looked(half, cpu_s, labels, len(regions), false, int(outside.sum()), int((covered & outside).sum()))


def mask(shape_hw: tuple[int, int], boxes: Iterable[tuple[int, ...]]) -> Mask:
    """Which pixels lie in any box."""
    found = np.zeros(shape_hw, bool)
    for x1, y1, x2, y2 in boxes:
        found[y1:y2, x1:x2] = True
    return found


def summed(looked: list[Looked]) -> dict[str, Any]:
    """The figures of all pictures."""
    labels = [label for one in looked for label in one.labels]
    regions, false = sum(one.regions for one in looked), sum(one.false for one in looked)
    outside = sum(one.changed_px for one in looked) / max(sum(one.outside_px for one in looked), 1)
    return {
        "pictures": len(looked),
        "cpu_s": [round(float(np.quantile([one.cpu_s for one in looked] or [0.0], q)), 3) for q in (0.5, 0.95)],
        "rows": [row for kind in KINDS for row in binned(kind, labels)],
        "by_mark": {
            "shorter side": marked(labels, lambda label: min(label.size_wh)),
            "longer side": marked(labels, lambda label: max(label.size_wh)),
        },
        "regions": regions,
        "false": false,
        "false_rate": round(false / max(regions, 1), 3),
        "outside": round(outside, 4),
    }


def binned(kind: str, labels: list[Label]) -> list[dict[str, Any]]:
    """Found by pixel bin and by the folder the pictures came from."""
    rows = []
    for low, high in zip(BINS, (*BINS[1:], None), strict=True):
        mine = [one for one in labels if one.kind == kind and low <= min(one.size_wh) < (high or 10**6)]
        rows += [
            {"kind": kind, "from_px": low, "data": data} | counted(one for one in mine if one.data == data)
            for data in sorted({one.data for one in mine})
        ]
    return rows


def marked(labels: list[Label], size: Size) -> dict[str, Any]:
    """What the national mark asks about: faces of 32 pixels and more, plates of 16 and more."""
    return {
        "faces": counted(one for one in labels if one.kind == "face" and size(one) >= FACE_PX),
        "faces and heads": counted(one for one in labels if one.kind != "plate" and size(one) >= FACE_PX),
        "plates": counted(one for one in labels if one.kind == "plate" and size(one) >= PLATE_PX),
        "plates, China": counted(
            one for one in labels if one.kind == "plate" and one.data == "streetscape" and size(one) >= PLATE_PX
        ),
    }


def counted(labels: Iterable[Label]) -> dict[str, Any]:
    found = [label.covered for label in labels]
    return {"labels": len(found), "found": sum(found), "rate": round(sum(found) / len(found), 3) if found else None}


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'kind':8}{'from px':>8}  {'pictures':16}{'labels':>8}{'found':>8}"]
    lines += [f"{r['kind']:8}{r['from_px']:>8}  {r['data']:16}{r['labels']:>8}{r['found']:>8}" for r in result["rows"]]
    for name, part in {"all": result, **{half: result[half] for half in HALVES}}.items():
        lines.append(f"{name}: {part['pictures']} pictures")
        for side, groups in part["by_mark"].items():
            for what, one in groups.items():
                lines.append(f"  by the mark, {side}: {what}: {one['found']} of {one['labels']} (mark: 90 %)")
        lines.append(f"  false regions: {part['false']} of {part['regions']} (mark: at most 10 %)")
        lines.append(f"  pixels outside labels that are covered: {part['outside']:.2%} (at most 10 %)")
        lines.append("  processor time a picture: p50 {:.2f} s, p95 {:.2f} s".format(*part["cpu_s"]))
    lines.append(f"{result['missing']} pictures missing")
    return "\n".join(lines)
