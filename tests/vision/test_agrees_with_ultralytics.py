"""`jiexun evaluate` and ultralytics' own validation give the same figures for the same file and pictures.

Needs the `train` extra and the streetscape data, so it is run by hand where both are:
`JIEXUN_STREETSCAPE=DIR python -m pytest tests/vision/test_agrees_with_ultralytics.py`. The counting alone is compared
with ultralytics in test_evaluate.py, everywhere.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.card import find_card
from vision.dataset import read_boxes, read_dataset
from vision.evaluate import evaluate
from vision.letterbox import Letterbox

DATA = os.environ.get("JIEXUN_STREETSCAPE")


def letterboxed(data: Path, out: Path, shape_hw: tuple[int, int]) -> Path:
    """The test split as pictures of the shipped shape on disk, labels moved along; its data.yaml."""
    dataset = read_dataset(data, "test")
    for kind in ("images", "labels"):
        (out / kind / "test").mkdir(parents=True)
    for picture in dataset.pictures:
        image = cv2.imread(str(picture))
        letterbox = Letterbox.fit((image.shape[1], image.shape[0]), shape_hw)
        slot = np.empty((*shape_hw, 3), np.uint8)
        letterbox.place(image, slot)
        cv2.imwrite(str(out / "images" / "test" / f"{picture.stem}.png"), slot)
        xyxy, label = read_boxes(picture, dataset.names)
        moved = letterbox.input_from_source(xyxy * np.array(letterbox.source_wh * 2, np.float32))
        moved /= np.array([shape_hw[1], shape_hw[0]] * 2, np.float32)
        rows = np.column_stack([label, (moved[:, :2] + moved[:, 2:]) / 2, moved[:, 2:] - moved[:, :2]])
        np.savetxt(out / "labels" / "test" / f"{picture.stem}.txt", rows, fmt=["%d"] + ["%.6f"] * 4)
    names = "\n".join(f"  {label}: {name}" for label, name in dataset.names.items())
    yaml = out / "data.yaml"
    yaml.write_text(f"path: {out}\ntrain: images/test\nval: images/test\ntest: images/test\nnames:\n{names}\n")
    return yaml


@pytest.mark.filterwarnings("ignore")  # of torch and ultralytics, which are not ours to mend
def test_the_shipped_file_scores_as_ultralytics_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if DATA is None:
        pytest.skip("JIEXUN_STREETSCAPE does not name the folder of the streetscape data")
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    pytest.importorskip("ultralytics", reason="ultralytics is not installed (pip install 'jiexun[train]')")
    from ultralytics.data.augment import LetterBox
    from ultralytics.models.yolo.detect import DetectionValidator

    card = find_card("streetscape-v1")

    class ShippedShape(DetectionValidator):
        """ultralytics pads every picture to a square: keep those of the shipped shape as they are."""

        def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> object:
            dataset = super().build_dataset(img_path, mode, batch)
            steps = dataset.transforms.transforms
            steps[:] = [LetterBox(card.shape_hw) if isinstance(step, LetterBox) else step for step in steps]
            return dataset

    yaml = letterboxed(Path(DATA), tmp_path / "data", card.shape_hw)
    options = {"model": str(card.path), "data": str(yaml), "split": "test", "imgsz": max(card.shape_hw), "batch": 8}
    options |= {"rect": False, "plots": False, "device": "cpu", "workers": 0, "task": "detect", "mode": "val"}
    validator = ShippedShape(args=options | {"project": str(tmp_path), "conf": 0.001, "iou": 0.7})
    validator()
    box = validator.metrics.box
    ours = evaluate(Path(DATA), split="test", model=card.name)
    assert ours["map50"] == pytest.approx(box.map50, abs=0.005)
    assert ours["map50_95"] == pytest.approx(box.map, abs=0.005)
    theirs = {card.classes[label]: box.ap50[k] for k, label in enumerate(box.ap_class_index)}
    assert ours["ap50"] == pytest.approx(theirs, abs=0.005)
