"""Ultralytics' own validation and prediction give the same for the same file and pictures.

Needs the `train` extra, and `jiexun evaluate` the streetscape data, so it is run by hand where both are:
`JIEXUN_STREETSCAPE=DIR python -m pytest tests/vision/test_agrees_with_ultralytics.py`. The counting alone is compared
with ultralytics in test_evaluate.py, everywhere; heads with made-up nets in test_foreign.py.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.card import find_card
from vision.dataset import read_boxes, read_dataset
from vision.detector import Detector
from vision.evaluate import evaluate
from vision.foreign import open_card
from vision.letterbox import Letterbox

DATA = os.environ.get("JIEXUN_STREETSCAPE")
SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"


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
@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("openvino-int8", "int8")])
def test_the_shipped_files_score_as_ultralytics_says(
    engine: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    options = {
        "model": str(card.path_of(precision)),
        "data": str(yaml),
        "split": "test",
        "imgsz": max(card.shape_hw),
        "batch": 8,
    }
    options |= {"rect": False, "plots": False, "device": "cpu", "workers": 0, "task": "detect", "mode": "val"}
    validator = ShippedShape(args=options | {"project": str(tmp_path), "conf": 0.001, "iou": 0.7})
    validator()
    box = validator.metrics.box
    ours = evaluate(Path(DATA), split="test", model=card, engine=engine)
    assert ours["map50"] == pytest.approx(box.map50, abs=0.005)
    assert ours["map50_95"] == pytest.approx(box.map, abs=0.005)
    theirs = {card.classes[label]: box.ap50[k] for k, label in enumerate(box.ap_class_index)}
    assert ours["ap50"] == pytest.approx(theirs, abs=0.005)


EXPORTS = [
    ("yolov5n", {}, "xywh-scores"),
    ("yolov8n", {}, "xywh-scores"),
    ("yolo11n", {"dynamic": True}, "xywh-scores"),
    ("yolo11n", {"nms": True, "conf": 0.3, "iou": 0.7}, "xyxy-score-class"),
    ("yolov10n", {"nms": False}, "xyxy-score-class"),
    ("yolo26n", {}, "xywh-scores"),
    ("yolo26n", {"nms": False, "dynamic": True}, "xyxy-score-class"),
]
SHAPE_HW = (256, 320)


def exported(name: str, options: dict[str, object], folder: Path) -> Path:
    """A net of that architecture with random weights, sharpened so that it sees a few hundred things."""
    import torch
    from ultralytics import YOLO

    torch.manual_seed(7)
    model = YOLO(f"{name}.yaml")
    head = model.model.model[-1]
    branches = [*head.cv3, *getattr(head, "one2one_cv3", [])]
    for branch in branches:
        branch[-1].weight.data *= 40
        branch[-1].bias.data[:] = -3 + torch.randn(branch[-1].bias.shape)
    model.ckpt_path = str(folder / f"{name}.pt")  # where it writes
    model.model.pt_path = model.ckpt_path
    return Path(model.export(format="onnx", imgsz=list(SHAPE_HW), device="cpu", **options))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options", "head"), EXPORTS, ids=[f"{n}-{o}" for n, o, _ in EXPORTS])
def test_foreign_files_find_what_ultralytics_finds(
    name: str, options: dict[str, object], head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("ultralytics", reason="ultralytics is not installed (pip install 'jiexun[train]')")
    from ultralytics import YOLO
    from ultralytics.utils import nms

    single = nms.non_max_suppression  # prediction takes an anchor's best class alone; validation, as we, each above
    monkeypatch.setattr(nms, "non_max_suppression", lambda *a, **k: single(*a, **(k | {"multi_label": True})))
    path = exported(name, options, tmp_path)
    card = open_card(str(path))
    assert (card.head, card.shape_hw, card.stride, len(card.classes)) == (head, SHAPE_HW, 32, 80)
    picture = cv2.resize(cv2.imread(str(SAMPLE / "0021.jpg")), SHAPE_HW[::-1])  # of the shape: nothing is scaled
    theirs = YOLO(path, task="detect").predict(picture, conf=0.3, iou=0.7, imgsz=SHAPE_HW, device="cpu", verbose=False)
    expected = theirs[0].boxes.data.numpy()
    (found,) = Detector(card, engine="onnxruntime").detect([picture], floor=0.3)
    assert 5 < len(expected) == len(found)
    for box in expected:
        near = np.abs(found.xyxy - box[:4]).max(axis=1) + 1000 * (found.label != int(box[5]))
        near += 1000 * (np.abs(found.score - box[4]) > 1e-4)
        assert near.min() < 0.05
