"""Worst: the things a model got most wrong on test, one by one, as one sheet; and what its mistakes are made of.

`python -m vision.worst --data DIR --model streetscape-v1` writes models/<name>/worst.jpg: the false alarms that the
model was surest of, then the labelled things it saw least of, each cut out with its surroundings; labels white, what
was told in colour. It prints how many mistakes of each sort there are at the thresholds. Faces and plates are covered
as in evidence.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.card import Card, find_card
from vision.calibrate import looked_at
from vision.draw import Image, draw
from vision.evaluate import Looked
from vision.postprocess import iou_matrix
from vision.privacy import FaceBlur

EACH = 20  # false alarms, and as many misses
CELL_PX, COLUMNS = 230, 8
AROUND = 1.2  # of a thing's longer side: what is shown around it
LEAST_PX = 160  # of the picture in a cell
HIT, NEAR = 0.5, 0.1  # overlap from which a box is the thing, and from which it is about the thing
WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing told that is none, or one that was not told."""

    file: str
    false_alarm: bool
    kind: int  # class of the card
    xyxy: tuple[float, float, float, float]  # pixels of the picture
    score: float  # calibrated: of the alarm; of the best box on the thing that was missed
    sort: str


def mistakes(one: Looked, card: Card) -> list[Mistake]:
    """What a picture's report, at the thresholds, gets wrong."""
    thresholds = np.array(card.thresholds)
    told = one.found[one.found.score > thresholds[one.found.label]]
    overlap = iou_matrix(one.truth.xyxy, told.xyxy)
    same = one.truth.label[:, None] == told.label[None, :]
    free = np.ones(len(one.truth.label), bool)
    out = []
    for j in range(len(told)):
        own = np.where(same[:, j] & free, overlap[:, j], 0.0)
        if own.size and own.max() >= HIT:
            free[own.argmax()] = False
            continue
        p = card.calibrated(card.classes[int(told.label[j])], float(told.score[j]))
        sort = _sort(overlap[:, j], one.truth.label, int(told.label[j]), card)
        out.append(Mistake(one.file, True, int(told.label[j]), _box(told.xyxy[j]), p, sort))
    return [*out, *(_missed(one, i, card) for i in np.flatnonzero(free).tolist())]


def _sort(overlap: np.ndarray, label: np.ndarray, kind: int, card: Card) -> str:
    """What a false alarm lies on."""
    if not overlap.size or overlap.max() < NEAR:
        return "nothing labelled there"
    other = int(label[overlap.argmax()])
    if overlap.max() >= HIT:
        return "the thing told twice" if other == kind else f"it is {card.classes[other]}"
    return "a box that does not fit" if other == kind else f"beside {card.classes[other]}"


def _missed(one: Looked, i: int, card: Card) -> Mistake:
    kind = int(one.truth.label[i])
    overlap = iou_matrix(one.truth.xyxy[i : i + 1], one.found.xyxy)[0]
    on = (overlap >= HIT) & (one.found.label == kind)
    raw = float(one.found.score[on].max()) if on.any() else 0.0
    told = one.found.score > np.array(card.thresholds)[one.found.label]
    other = (overlap >= HIT) & (one.found.label != kind) & told
    sort = f"told as {card.classes[int(one.found.label[other][0])]}" if other.any() else "not told"
    return Mistake(one.file, False, kind, _box(one.truth.xyxy[i]), card.calibrated(card.classes[kind], raw), sort)


def worst(all_of_them: Sequence[Mistake], each: int = EACH) -> list[Mistake]:
    """The surest false alarms, then the things that were seen least; larger ones first where that is equal."""
    alarms = sorted((m for m in all_of_them if m.false_alarm), key=lambda m: (-m.score, m.file))
    misses = sorted((m for m in all_of_them if not m.false_alarm), key=lambda m: (m.score, -_area(m), m.file))
    return [*alarms[:each], *misses[:each]]


def sheet(shown: Sequence[Mistake], looked: Sequence[Looked], card: Card, root: Path) -> Image:
    """A cell a mistake, COLUMNS in a row."""
    blur, by_file = FaceBlur(), {one.file: one for one in looked}
    cells = [_cell(one, by_file[one.file], card, root, blur) for one in shown]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def _cell(mistake: Mistake, seen: Looked, card: Card, root: Path, blur: FaceBlur) -> Image:
    image, _ = blur.blur(np.asarray(cv2.imread(str(root / mistake.file)), np.uint8), mistake.file)
    x1, y1, x2, y2 = mistake.xyxy
    side = min(max(max(x2 - x1, y2 - y1) * (1 + AROUND), LEAST_PX), *image.shape[:2])
    left = int(np.clip((x1 + x2 - side) / 2, 0, image.shape[1] - side))
    top = int(np.clip((y1 + y2 - side) / 2, 0, image.shape[0] - side))
    part = image[top : top + int(side), left : left + int(side)]
    scale = CELL_PX / part.shape[0]
    part = np.asarray(cv2.resize(part, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA), np.uint8)
    told = seen.found[seen.found.score > np.array(card.thresholds)[seen.found.label]]
    moved = told[np.ones(len(told), bool)]
    moved.xyxy[:] = (told.xyxy - np.array([left, top] * 2)) * scale
    part = draw(part, moved, card.classes)
    for box, label in zip(seen.truth.xyxy, seen.truth.label, strict=True):
        a, b, c, d = np.round((box - np.array([left, top] * 2)) * scale).astype(int).tolist()
        cv2.rectangle(part, (a, b), (c, d), WHITE, 1)
        if 0 <= a < CELL_PX and d >= 0:
            at = (a + 2, min(d, CELL_PX) - 3)
            cv2.putText(part, card.classes[int(label)], at, cv2.FONT_HERSHEY_SIMPLEX, 0.32, WHITE, 1, cv2.LINE_AA)
    caption = np.full((32, CELL_PX, 3), 255, np.uint8)
    kind = card.classes[mistake.kind]
    what = f"false: {kind} {mistake.score:.2f}" if mistake.false_alarm else f"missed: {kind}"
    for line, text in enumerate((what, mistake.sort)):
        cv2.putText(caption, text, (4, 13 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.vstack([part, caption]), np.uint8)


def _box(xyxy: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in xyxy)
    return x1, y1, x2, y2


def _area(mistake: Mistake) -> float:
    x1, y1, x2, y2 = mistake.xyxy
    return (x2 - x1) * (y2 - y1)


def counts(all_of_them: Sequence[Mistake], card: Card) -> dict[str, dict[str, int]]:
    """How many mistakes of each sort, by what was told or missed."""
    out: dict[str, dict[str, int]] = {}
    for word, alarm in (("false", True), ("missed", False)):
        for number, kind in enumerate(card.classes):
            sorts = Counter(m.sort for m in all_of_them if m.false_alarm == alarm and m.kind == number)
            out[f"{word} {kind}"] = dict(sorts.most_common())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="streetscape-v1")
    parser.add_argument("--each", type=int, default=EACH, help="false alarms, and as many misses")
    parser.add_argument("--out", type=Path, help="picture to write; without it worst.jpg beside the model's card")
    args = parser.parse_args()
    card = find_card(args.model)
    looked = looked_at(args.data, "test", card.folder)
    found = [mistake for one in looked for mistake in mistakes(one, card)]
    root = args.data if args.data.is_dir() else args.data.parent
    out = args.out or card.folder / "worst.jpg"
    cv2.imwrite(str(out), sheet(worst(found, args.each), looked, card, root), [cv2.IMWRITE_JPEG_QUALITY, 75])
    print(json.dumps(counts(found, card), indent=1))
    print(out)


if __name__ == "__main__":
    main()
