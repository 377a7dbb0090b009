"""Failures: the worst test pictures of a model as one sheet, for its card.

`python -m vision.failures --data DIR --model streetscape-v1` draws the pictures that measured.toml lists as failures:
what the model reported (class colour, score) and what the labels say (white, class name). Faces are covered, and the
pictures are so small that plates cannot be read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.card import Card, find_card
from vision.dataset import Dataset, read_boxes, read_dataset
from vision.detector import Detector
from vision.draw import Image, draw
from vision.privacy import FaceBlur

CELL_PX = 360
COLUMNS = 4
WHITE = (255, 255, 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="streetscape-v1")
    args = parser.parse_args()
    card = find_card(args.model)
    listed = card.metrics["calibration"]["failures"]
    out = card.folder / "failures.jpg"
    cv2.imwrite(str(out), sheet(card, read_dataset(args.data, "test"), listed), [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(out)


def sheet(card: Card, dataset: Dataset, listed: list[dict[str, Any]]) -> Image:
    """All listed pictures, worst first, `COLUMNS` in a row, each with its name and counts below."""
    detector, blur = Detector(card), FaceBlur()
    paths = {path.name: path for path in dataset.pictures}
    cells = [_cell(detector, blur, dataset, paths[Path(row["file"]).name], row) for row in listed]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def _cell(detector: Detector, blur: FaceBlur, dataset: Dataset, path: Path, row: dict[str, Any]) -> Image:
    decoded = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
    covered, _ = blur.blur(decoded, path.name)
    image = np.asarray(cv2.resize(covered, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA), np.uint8)
    (found,) = detector.detect([decoded])
    found.xyxy[:] *= np.tile(CELL_PX / np.array([decoded.shape[1], decoded.shape[0]], np.float32), 2)
    image = draw(image, found, detector.classes)
    boxes, labels = read_boxes(path, dataset.names)
    for (x1, y1, x2, y2), label in zip(np.round(boxes * CELL_PX).astype(int).tolist(), labels.tolist(), strict=True):
        cv2.rectangle(image, (x1, y1), (x2, y2), WHITE, 1)
        cv2.putText(
            image, dataset.names[label], (x1 + 2, y2 - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.35, WHITE, 1, cv2.LINE_AA
        )
    caption = np.full((24, CELL_PX, 3), 255, np.uint8)
    text = f"{path.stem}: {row['missed']} missed, {row['wrong']} wrong"
    cv2.putText(caption, text, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.vstack([image, caption]), np.uint8)


if __name__ == "__main__":
    main()
