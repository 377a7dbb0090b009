"""How much of the faces, heads and plates of a hand-labelled set the privacy gate covers, and how much else.

Found: at least 70 % of the labelled box is covered. False: a covered region that touches no label, fallbacks included.
`outside` is the part of the pixels outside labels that are covered. Labels are in `benchmarks/privacy_labels/`; the
pictures are not copied: they are read from a data folder and known by their sha256.
"""

from __future__ import annotations

import hashlib
import json as jsonlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import where
from vision.privacy import FaceBlur

LABELS = Path(__file__).parent / "privacy_labels" / "labels.json"
OUT = Path(__file__).parent / "results" / "privacy.json"
FOUND = 0.7  # of a labelled box
BINS = (0, 8, 16, 32)  # pixels; of a box's shorter side
FACE_PX, PLATE_PX = 32, 16  # GB/T 44464-2024, 5.6.2
KINDS = ("face", "head", "plate")
MARK = {"found": 0.9, "false": 0.1}

Mask = NDArray[np.bool_]
Size = Callable[["Label"], int]


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled box, and whether it was covered."""

    kind: str  # "face", "head" (seen from behind, or too small to tell) or "plate"
    data: str  # folder of the picture
    size_wh: tuple[int, int]
    covered: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """One picture: its labels, its regions, and of how many pixels outside labels how many were covered."""

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
    blur, missing = FaceBlur(), 0
    looked: list[Looked] = []
    for row in listed:
        image = read(data / row["data"] / row["file"], row)
        if image is None:
            missing += 1
        else:
            looked.append(look(image, row, blur))
    if not looked:
        raise OSError(f"none of the labelled pictures is in {data}")
    return summed(looked) | {"pictures": len(looked), "missing": missing, "mark": MARK}


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
    regions = blur.regions(image)
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
    return Looked(labels, len(regions), false, int((~labelled).sum()), int((covered & ~labelled).sum()))


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
    outside = sum(one.changed_px for one in looked) / sum(one.outside_px for one in looked)
    return {
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
    for side, groups in result["by_mark"].items():
        for what, one in groups.items():
            lines.append(f"by the mark, {side}: {what}: {one['found']} of {one['labels']} (mark: 90 %)")
    lines.append(f"false regions: {result['false']} of {result['regions']} (mark: at most 10 %)")
    lines.append(f"pixels outside labels that are covered: {result['outside']:.2%} (at most 10 %)")
    lines.append(f"{result['pictures']} pictures, {result['missing']} missing")
    return "\n".join(lines)
