"""Average precision as ultralytics counts it, on data sets as people have them."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.card import ModelUnusable
from vision.calibrate import Scored, calibration_error, fitted, measure
from vision.dataset import DataUnreadable, LabelUnreadable, label_path, parse_yaml, read_boxes, read_dataset
from vision.detections import Detections
from vision.evaluate import Looked, evaluate
from vision.metrics import Truth, average_precision, matched, metrics, smooth

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "datasets" / "sample"
NAMES = {0: "garbage", 1: "garbage_bin", 2: "overflow_bin"}


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def found(xyxy: np.ndarray, score: list[float], label: list[int]) -> Detections:
    return Detections(xyxy, np.array(score, np.float32), np.array(label, np.int64))


def truth(xyxy: np.ndarray, label: list[int]) -> Truth:
    return Truth(xyxy, np.array(label, np.int64))


SQUARE = (0, 0, 10, 10)


def test_three_detections_of_two_things_as_counted_on_paper() -> None:
    """Right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.

    The envelope is 1 up to recall 1/2 and 2/3 beyond, and a recall that is reached exactly reads what comes after it.
    Between 0, 0.01, … 1 lie 49 strips of height 1, one from 1 to 2/3, 49 of 2/3, and one from 2/3 to 0.
    """
    far, elsewhere = (100, 0, 110, 10), (50, 50, 60, 60)
    result = metrics(
        [found(boxes(SQUARE, elsewhere, far), [0.9, 0.8, 0.7], [0, 0, 0])], [truth(boxes(SQUARE, far), [0, 0])]
    )
    assert result.ap[0, 0] == pytest.approx(0.49 + 0.01 * (1 + 2 / 3) / 2 + 0.49 * 2 / 3 + 0.01 * (2 / 3) / 2)
    assert result.boxes.tolist() == [2]


@pytest.mark.parametrize(
    ("recall", "precision", "expected"),
    [
        ([1.0], [1.0], 0.995),  # the well-known figure of a perfect class: the last strip falls to 0
        ([0.0], [0.0], 0.0),
        ([0.5], [1.0], 0.495),
    ],
)
def test_the_ends_of_a_curve_are_held_as_ultralytics_holds_them(
    recall: list[float], precision: list[float], expected: float
) -> None:
    assert average_precision(np.array(recall), np.array(precision)) == pytest.approx(expected)


def test_a_thing_is_found_once_and_by_the_surest_box() -> None:
    hits = matched(found(boxes(SQUARE, SQUARE), [0.9, 0.8], [0, 0]), truth(boxes(SQUARE), [0]))
    assert hits[:, 0].tolist() == [True, False]


def test_a_box_of_another_class_is_no_hit() -> None:
    assert not matched(found(boxes(SQUARE), [0.9], [1]), truth(boxes(SQUARE), [0])).any()


def test_a_loose_box_hits_up_to_its_overlap() -> None:
    hits = matched(found(boxes((0, 0, 10, 7.2)), [0.9], [0]), truth(boxes(SQUARE), [0]))  # IoU 0.72
    assert hits[0].tolist() == [True] * 5 + [False] * 5  # 0.5, 0.55, 0.6, 0.65, 0.7


@pytest.mark.parametrize("pictures", [0, 2])
def test_nothing_looked_at_or_nothing_there_has_no_figures(pictures: int) -> None:
    nothing = truth(boxes(), [])
    result = metrics([Detections.empty()] * pictures, [nothing] * pictures)
    assert result.ap.shape == (0, 10)
    assert len(result.label) == 0


def test_what_is_never_found_counts_as_zero() -> None:
    result = metrics([found(boxes(SQUARE), [0.9], [0])], [truth(boxes(SQUARE, SQUARE), [0, 2])])
    assert result.label.tolist() == [0, 2]
    assert result.ap[:, 0] == pytest.approx([0.995, 0.0], abs=1e-9)
    assert result.recall[1] == 0.0


def test_real_detections_count_as_ultralytics_counted_them() -> None:
    """Arrays and figures were written by ultralytics 8.4.190: see tests/vision/data/README.md."""
    with np.load(HERE / "data" / "ultralytics_8_4_190.npz") as file:
        z = dict(file)
    cuts, true_cuts = np.cumsum(z["count"])[:-1], np.cumsum(z["true_count"])[:-1]
    split = [np.split(z[name], cuts) for name in ("xyxy", "score", "label")]
    seen = [Detections(box, score, label.astype(np.int64)) for box, score, label in zip(*split, strict=True)]
    true_split = [np.split(z[name], true_cuts) for name in ("true_xyxy", "true_label")]
    real = [Truth(box, label.astype(np.int64)) for box, label in zip(*true_split, strict=True)]
    assert len(seen) == 66
    result = metrics(seen, real)
    assert result.label.tolist() == z["classes"].tolist()
    np.testing.assert_allclose(result.ap, z["ap"], atol=1e-3)  # equal scores may be taken in another order
    np.testing.assert_allclose(result.precision, z["precision"], atol=5e-3)
    np.testing.assert_allclose(result.recall, z["recall"], atol=5e-3)


def test_a_smoothed_constant_is_the_same_constant() -> None:
    np.testing.assert_allclose(smooth(np.full(1000, 0.4)), np.full(1000, 0.4))


# --- data sets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("names: [a, b]\n", {"names": ["a", "b"]}),
        ("names: ['a, b', \"c\"] # two\n", {"names": ["a, b", "c"]}),
        ("names:\n- a\n- b\nnc: 2\n", {"names": ["a", "b"], "nc": "2"}),
        ("names:\n  - a\n  - b\n", {"names": ["a", "b"]}),
        ("names:\n  0: a\n  # second\n  1: 'b # c'\n", {"names": {"0": "a", "1": "b # c"}}),
        ("names: {0: a, 1: b}\n", {"names": {"0": "a", "1": "b"}}),
        ("names: [a,\n  b]\n", {"names": ["a", "b"]}),
        ("---\ntrain: images/train # relative\nval:\n", {"train": "images/train", "val": ""}),
        ("download: |\n  import os\n  x = 1\ntest: t\n", {"download": "|", "test": "t"}),
        ("# nothing\n", {}),
    ],
)
def test_the_yaml_that_people_write_is_read(text: str, expected: dict[str, object]) -> None:
    assert parse_yaml(text) == expected


@pytest.mark.parametrize("text", ["names [a]\n", "names: [a, b\n", "names: ['a, b]\n", "- a\n"])
def test_yaml_that_is_not_understood_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_yaml(text)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six labelled street pictures of the sample drive, as a data set with its own order of classes."""
    own = {"overflow_bin": 0, "garbage_bin": 1, "street_lamp": 2, "garbage": 3}
    with (SAMPLE / "labels.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    files = sorted({row["file"] for row in rows})[:6]
    images, labels = tmp_path / "images" / "test", tmp_path / "labels" / "test"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for file_name in files:
        shutil.copy(SAMPLE / file_name, images)
        height, width = cv2.imread(str(SAMPLE / file_name)).shape[:2]
        lines = []
        for row in (row for row in rows if row["file"] == file_name and row["kind"] in own):
            x1, y1, x2, y2 = (float(row[k]) for k in ("x1", "y1", "x2", "y2"))
            box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            lines.append(" ".join([str(own[row["kind"]]), *(f"{v:.6f}" for v in box)]))
        (labels / file_name).with_suffix(".txt").write_text("\n".join(lines), encoding="utf8")
    names = "\n".join(f"  {label}: {name}" for name, label in own.items())
    (tmp_path / "data.yaml").write_text(f"train: images/train\ntest: images/test\nnames:\n{names}\n", encoding="utf8")
    return tmp_path


def test_classes_are_matched_by_name_and_bad_inputs_are_listed(dataset: Path) -> None:
    images, labels = dataset / "images" / "test", dataset / "labels" / "test"
    (images / "cut.jpg").write_bytes((SAMPLE / "0001.jpg").read_bytes()[:5000])
    (images / "empty.jpg").write_bytes(b"")
    shutil.copy(SAMPLE / "0001.jpg", images / "odd.jpg")
    (labels / "odd.txt").write_text("9 0.5 0.5 0.1 0.1", encoding="utf8")
    cv2.imwrite(str(images / "wall.png"), np.full((300, 400, 3), 128, np.uint8))  # another format, nothing on it
    progress: list[tuple[int, int]] = []
    result = evaluate(dataset / "data.yaml", progress=lambda done, total: progress.append((done, total)))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["model"] == "streetscape-v1"
    assert result["split"] == "test"
    assert result["images"] == 7
    assert progress[-1] == (10, 10)
    reasons = {entry["file"]: entry["reason"] for entry in result["rejected"]}
    assert set(reasons) == {"images/test/cut.jpg", "images/test/empty.jpg", "images/test/odd.jpg"}
    assert "class 9 has no name" in reasons["images/test/odd.jpg"]
    assert result["unknown_classes"] == ["street_lamp"]
    assert set(result["classes"]) <= {"garbage", "garbage_bin", "overflow_bin"}
    bins = result["classes"]["garbage_bin"]
    labelled = [label_path(p) for p in images.glob("0*.jpg")]
    lines = [line for path in labelled for line in path.read_text(encoding="utf8").splitlines()]
    assert bins["boxes"] == sum(line.startswith("1 ") for line in lines)
    assert bins["ap50"] > 0.5  # 0 where numbers, not names, were compared
    assert result["map50"] == pytest.approx(np.mean([row["ap50"] for row in result["classes"].values()]))
    assert result["ap50"]["garbage_bin"] == bins["ap50"] >= bins["ap50_95"]


def test_a_class_that_no_model_knows_counts_as_never_found(dataset: Path) -> None:
    path = next((dataset / "labels" / "test").glob("*.txt"))
    path.write_text(path.read_text(encoding="utf8") + "\n2 0.5 0.5 0.1 0.1", encoding="utf8")
    result = evaluate(dataset)
    assert result["classes"]["street_lamp"]["ap50"] == 0.0
    assert result["map50"] == pytest.approx(np.mean([row["ap50"] for row in result["classes"].values()]))


def test_data_that_no_model_can_judge_is_refused(dataset: Path) -> None:
    (dataset / "data.yaml").write_text("test: images/test\nnames: [car, cat]\n", encoding="utf8")
    with pytest.raises(ModelUnusable, match=r"no model knows a class of .*car, cat.*streetscape-v1 knows garbage"):
        evaluate(dataset)


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        (None, "cannot be read"),
        ("names: [a]\nval: images/val\n", "names no split 'test'; it names: val"),
        ("names: [a]\ntest: images/none\n", "neither a folder nor a list"),
        ("test: images/test\n", "names must be a list"),
        ("names: {a: 0}\ntest: images/test\n", "names must be a list"),
        ("names: [a, a]\ntest: images/test\n", "a name of its own"),
        ("names: [a]\npath: empty\ntest: .\n", "has no pictures"),
    ],
)
def test_a_data_set_that_cannot_be_read_says_why(dataset: Path, yaml: str | None, reason: str) -> None:
    (dataset / "empty").mkdir()
    (dataset / "data.yaml").unlink() if yaml is None else (dataset / "data.yaml").write_text(yaml, encoding="utf8")
    with pytest.raises(DataUnreadable, match=reason):
        read_dataset(dataset, "test")


@pytest.mark.parametrize(
    "place",
    ["test: images/test", "path: images\ntest: test", "test: ../images/test", "test: [images/test]", "test: list.txt"],
)
def test_paths_are_relative_to_the_files_own_folder(dataset: Path, place: str) -> None:
    pictures = sorted((dataset / "images" / "test").iterdir())
    (dataset / "list.txt").write_text("\n".join(f"images/test/{p.name}" for p in pictures), encoding="utf8")
    (dataset / "data.yaml").write_text(f"{place}\nnames: [a]\n", encoding="utf8")
    found = read_dataset(dataset / "data.yaml", "test").pictures
    assert [p.resolve() for p in found] == [p.resolve() for p in pictures]


def test_boxes_and_outlines_are_read_and_a_picture_without_file_shows_nothing(dataset: Path) -> None:
    picture = dataset / "images" / "test" / "0001.jpg"
    path = label_path(picture)
    assert path == dataset / "labels" / "test" / "0001.txt"
    path.write_text("0 0.5 0.5 0.2 0.4\n0 0.5 0.5 0.2 0.4\n2 0.1 0.1 0.3 0.1 0.2 0.6\n\n", encoding="utf8")
    xyxy, label = read_boxes(picture, NAMES)
    np.testing.assert_allclose(xyxy, [[0.4, 0.3, 0.6, 0.7], [0.1, 0.1, 0.3, 0.6]], atol=1e-6)  # the repeat counts once
    assert label.tolist() == [0, 2]
    path.unlink()
    assert read_boxes(picture, NAMES)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2", "4 numbers in a row"),
        ("0 50 50 20 20", "not in fractions"),
        ("0 nan 0.5 0.2 0.2", "not in fractions"),
        ("0 0.5 0.5 -0.005 0.2", "negative size"),
        ("1.5 0.5 0.5 0.2 0.2", "class 1.5 has no name"),
        ("bin 0.5 0.5 0.2 0.2", "could not convert"),
    ],
)
def test_labels_that_cannot_be_read_say_why(dataset: Path, line: str, reason: str) -> None:
    picture = dataset / "images" / "test" / "0001.jpg"
    label_path(picture).write_text(line, encoding="utf8")
    with pytest.raises(LabelUnreadable, match=reason):
        read_boxes(picture, NAMES)


# --- calibration


def test_a_calibration_of_known_slope_and_offset_is_recovered() -> None:
    rng = np.random.default_rng(7)
    score = rng.uniform(0.05, 0.99, 20_000)
    p = 1 / (1 + np.exp(-(1.5 * np.log(score / (1 - score)) - 0.7)))
    slope, offset = fitted(Scored(score, (rng.random(20_000) < p).astype(float)))
    assert slope == pytest.approx(1.5, abs=0.08)
    assert offset == pytest.approx(-0.7, abs=0.08)


def test_the_calibration_error_is_the_mean_gap_between_said_and_true() -> None:
    p = np.array([0.75, 0.75, 0.75, 0.75, 0.25, 0.25])
    hit = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert calibration_error(p, hit) == pytest.approx((4 * 0.0 + 2 * 0.25) / 6)
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0.0


def test_the_threshold_lies_between_right_and_wrong_and_recall_is_counted_there() -> None:
    looked = []
    for n in range(40):
        right = found(boxes(SQUARE, (50, 50, 60, 60)), [0.8 + n / 400, 0.2 + n / 400], [0, 0])
        looked.append(Looked(str(n), right, truth(boxes(SQUARE, (90, 90, 99, 99)), [0, 0])))
    known = measure(looked, 0, "garbage")
    assert 0.3 < known.threshold < 0.8
    assert known.recall == 0.5
    with pytest.raises(ValueError, match="no picture of the split shows overflow_bin"):
        measure(looked, 2, "overflow_bin")
