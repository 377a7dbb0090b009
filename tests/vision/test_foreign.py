"""YOLO detectors that others made: read from their own files, run by the real engines, or refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from nets import FREE, saying, seeing, ultralytics
from onnx import TensorProto, helper

from models.card import BGR_BYTE, MODELS, RGB_UNIT, ModelUnusable
from vision.detections import Detections
from vision.detector import Detector
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.families import FAMILIES
from vision.foreign import foreign_card, open_card
from vision.heads import HEADS

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
CHECKPOINTS = os.environ.get("JIEXUN_CHECKPOINTS")
ENGINES = ("onnxruntime", "openvino")
NAMES = ("bin", "stall")
FIXED = (1, 3, 64, 96)
Run = Callable[..., tuple[int, Any, str]]


def cells(shape_hw: tuple[int, int], strides: tuple[int, ...] = (8, 16, 32)) -> int:
    return sum(shape_hw[0] // s * (shape_hw[1] // s) for s in strides)


def v8() -> np.ndarray:
    """Two boxes of 126 anchors: centre, size, a score for each of two classes."""
    raw = np.zeros((6, cells((64, 96))), np.float32)
    raw[:, 5] = [40, 30, 20, 10, 0.0, 0.9]
    raw[:, 9] = [40, 30, 20, 10, 0.0, 0.8]  # again: suppressed
    raw[:, 100] = [80, 50, 8, 16, 0.6, 0.1]
    return raw


def v5() -> np.ndarray:
    """The same of three anchors a cell: objectness times score."""
    raw = np.zeros((3 * cells((64, 96)), 7), np.float32)
    raw[5] = [40, 30, 20, 10, 0.9, 0.0, 1.0]
    raw[9] = [40, 30, 20, 10, 0.8, 0.0, 1.0]
    raw[300] = [80, 50, 8, 16, 0.75, 0.8, 0.1]
    raw[301] = [80, 50, 60, 60, 0.1, 1.0, 1.0]  # a score, but no object
    return raw


def yolox() -> np.ndarray:
    """The same, of one anchor a cell, in cells from the anchor's own: 8 x 12, 4 x 6 and 2 x 3 cells."""
    raw = np.zeros((cells((64, 96)), 7), np.float32)
    raw[12 * 3 + 4] = [1.0, 0.75, np.log(2.5), np.log(1.25), 0.9, 0.0, 1.0]  # stride 8, row 3, column 4
    raw[12 * 3 + 5] = [0.0, 0.75, np.log(2.5), np.log(1.25), 0.8, 0.0, 1.0]
    raw[96 + 6 * 2 + 4] = [1.0, 1.125, np.log(0.5), 0.0, 0.75, 0.8, 0.1]  # stride 16, row 2, column 4
    return raw


def yolox_decoded() -> np.ndarray:
    raw = np.zeros((cells((64, 96)), 7), np.float32)
    raw[:, 0] = np.linspace(1, 95, len(raw))
    raw[40] = [40, 30, 20, 10, 0.9, 0.0, 1.0]
    raw[41] = [40, 30, 20, 10, 0.8, 0.0, 1.0]
    raw[112] = [80, 50, 8, 16, 0.75, 0.8, 0.1]
    return raw


def end_to_end() -> np.ndarray:
    raw = np.zeros((300, 6), np.float32)
    raw[0] = [30, 25, 50, 35, 0.9, 1]
    raw[1] = [76, 42, 84, 58, 0.6, 0]
    return raw


META = ultralytics(NAMES, imgsz="[64, 96]")
YOLOV5 = {"names": str(list(NAMES)), "stride": "32"}  # as the repository yolov5 writes it
MADE = {
    "yolov8": (v8(), META),
    "yolov5": (v5(), YOLOV5 | {"imgsz": "[64, 96]"}),
    "yolov10": (end_to_end(), META | {"end2end": "True"}),
    "yolox": (yolox(), {"imgsz": "[64, 96]"}),
    "yolox-decoded": (yolox_decoded(), {"imgsz": "[64, 96]"}),
}


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "bins.names"
    path.write_text("bin\n\nstall\n", encoding="utf8")
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("read", [FREE, FIXED], ids=["free", "fixed"])
@pytest.mark.parametrize("family", MADE)
def test_every_family_is_known_by_its_file_and_finds_the_same(
    family: str, read: tuple[int | str, ...], engine: str, names: Path, tmp_path: Path
) -> None:
    raw, meta = MADE[family]
    path = saying(tmp_path / "net.onnx", raw, read=read, meta=meta, name="x" if family == "yolox" else "images")
    card = open_card(str(path), names=None if "names" in meta else names)
    assert (card.head, card.pixels) == (FAMILIES[family].head, FAMILIES[family].pixels)
    assert (card.classes, card.shape_hw, card.stride) == (NAMES, (64, 96), 32)
    detector = Detector(card, engine=engine)
    picture = np.zeros((128, 192, 3), np.uint8)  # twice the input
    for found in detector.detect([picture] * 3):  # one after the other where the file takes only one
        np.testing.assert_allclose(found.xyxy, [[60, 50, 100, 70], [152, 84, 168, 116]], atol=1e-3)
        assert found.score.tolist() == pytest.approx([0.9, 0.6], abs=1e-5)
        assert [NAMES[label] for label in found.label] == ["stall", "bin"]
    detector.close()


@pytest.mark.parametrize("family", MADE)
def test_a_family_that_is_told_is_the_one_that_is_seen(family: str, names: Path, tmp_path: Path) -> None:
    raw, meta = MADE[family]
    path = saying(tmp_path / "net.onnx", raw, meta=meta)
    seen, told = foreign_card(path, names=names), foreign_card(path, names=names, family=family)
    assert seen == told


def test_every_family_has_a_head_that_exists() -> None:
    assert set(MADE) == set(FAMILIES)
    assert {family.head for family in FAMILIES.values()} == set(HEADS)


@pytest.mark.parametrize(("anchors", "head"), [(300, "xyxy-score-class"), (3 * 4116 // 4, "xywh-objectness")])
def test_of_one_class_six_columns_are_told_apart_by_their_number(anchors: int, head: str, tmp_path: Path) -> None:
    raw = np.zeros((anchors, 6), np.float32)
    path = saying(tmp_path / "net.onnx", raw, read=(1, 3, 448, 448), meta={"names": "['bin']", "stride": "32"})
    assert foreign_card(path).head == head


def test_a_yolox_of_four_levels_is_read_too(names: Path, tmp_path: Path) -> None:
    raw = np.zeros((cells((64, 128), (8, 16, 32, 64)), 7), np.float32)
    raw[-1] = [0.5, 0.5, 0.0, -np.log(2), 0.9, 0.0, 1.0]  # stride 64, row 0, column 1
    path = saying(tmp_path / "net.onnx", raw, read=(1, 3, 64, 128))
    card = foreign_card(path, names=names)
    assert card.head == "grid-objectness"
    (found,) = Detector(card, engine="onnxruntime").detect([np.zeros((64, 128, 3), np.uint8)])
    np.testing.assert_allclose(found.xyxy, [[64, 16, 128, 48]], atol=1e-3)


@pytest.mark.parametrize("engine", [*ENGINES, "bound"])
def test_planes_are_in_the_order_and_scale_that_the_family_was_trained_on(engine: str, tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:] = (51, 102, 204)  # blue, green, red
    classes = ("first", "second", "third")
    (tmp_path / "classes").write_text("\n".join(classes), encoding="utf8")
    v8 = seeing(tmp_path / "v8.onnx", scale=1, meta=ultralytics(classes, imgsz="32"))
    x = seeing(tmp_path / "x.onnx", scale=1 / 255, meta={}, read=("batch", 3, 32, 32))
    for path, pixels, expected in (
        (v8, RGB_UNIT, {"first": 0.8, "second": 0.4, "third": 0.2}),
        (x, BGR_BYTE, {"first": 0.2, "second": 0.4, "third": 0.8}),
    ):
        card = foreign_card(path, names=tmp_path / "classes")
        assert card.pixels == pixels
        run = OnnxRuntimeEngine(card, bound=True) if engine == "bound" else engine  # as on a GPU
        (found,) = Detector(card, engine=run).detect([picture], floor=0.1)
        seen = {classes[label]: score for label, score in zip(found.label, found.score, strict=True)}
        assert seen == pytest.approx(expected, abs=1e-3)


def test_what_a_file_does_not_say_is_the_usual(tmp_path: Path) -> None:
    raw = np.zeros((3 * cells((640, 640)), 7), np.float32)
    card = foreign_card(saying(tmp_path / "net.onnx", raw, meta={"names": "['a', 'b']"}))
    assert (card.shape_hw, card.stride) == ((640, 640), 32)
    assert card.version == f"net@sha256:{card.weights['fp32'].sha256}"
    assert card.thresholds == (0.25, 0.25)
    assert card.calibrated("a", 0.6) == pytest.approx(0.6)
    assert card.recall == {"a": 0.0, "b": 0.0}  # that nothing was seen proves nothing


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "segment"}, "its task is segment, expected detect"),
        ({"head": "RTDETRDecoder"}, "its head is RTDETRDecoder, expected a YOLO's"),
        (
            {"names": "{0: 'a', 1: 'b', 2: 'c'}"},
            r"of 3 classes: its output is \(1, 6, 126\), expected \(batch, 7, anchors\)",
        ),
        ({"names": "{0: 'a', 2: 'b'}"}, "expected a name for each of the numbers 0, 1, 2"),
        ({"names": "[0, 1]"}, "expected a name for each of the numbers"),
        ({"names": "open('/etc/passwd')"}, "expected a name for each of the numbers"),
        ({"names": "(" * 3000}, "expected a name for each of the numbers"),
        ({"stride": "48"}, r"its input is \(64, 96\), expected multiples of its stride, 48"),
        ({"stride": "wide"}, "expected multiples of its stride, wide"),
    ],
)
def test_metadata_of_another_kind_is_refused(change: dict[str, str], reason: str, tmp_path: Path) -> None:
    path = saying(tmp_path / "net.onnx", v8(), meta=META | change)
    with pytest.raises(ModelUnusable, match=reason) as error:
        foreign_card(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.zeros((5, 126), np.float32), r"its output is \(1, 5, 126\), expected \(batch, 6, anchors\) \(yolov8\) or"),
        (np.full((6, 126), -3, np.float32), "its scores are -3 to -3, expected 0 to 1"),
        (np.full((6, 126), np.nan, np.float32), "its scores are nan to nan, expected 0 to 1"),
    ],
)
def test_an_output_of_another_kind_is_refused(output: np.ndarray, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=reason):
        foreign_card(saying(tmp_path / "net.onnx", output, meta=META))


@pytest.mark.parametrize("read", [(1, 4, 64, 96), (1, 1, 64, 96)])
def test_a_net_that_reads_no_colour_pictures_is_refused(read: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"expected one \(batch, 3, height, width\) tensor\(float\)"):
        foreign_card(saying(tmp_path / "net.onnx", v8(), read=read, meta=META))


def test_a_net_in_half_precision_is_refused_with_what_it_reads(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["output0"])],
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT16, [1, 3, 64, 96])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT16, [1, 3, 64, 96])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "n.onnx")
    with pytest.raises(ModelUnusable, match=r"its inputs are images \(1, 3, 64, 96\) tensor\(float16\), expected one"):
        foreign_card(tmp_path / "n.onnx")


def test_files_that_are_no_nets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"none\.onnx cannot be read \(No such file"):
        open_card(str(tmp_path / "none.onnx"))
    (tmp_path / "page.onnx").write_text("<html>404</html>", encoding="utf8")
    with pytest.raises(ModelUnusable, match=r"page\.onnx is no ONNX model that this version reads"):
        open_card(str(tmp_path / "page.onnx"))
    with pytest.raises(
        ModelUnusable, match=r"is no YOLO detector: its outputs are cls_8 .*expected one of 3 dimensions"
    ):
        open_card(str(MODELS / "privacy" / "face_detection_yunet_2026may.onnx"))


def test_a_net_without_class_names_says_how_to_give_them(names: Path, tmp_path: Path) -> None:
    path = saying(tmp_path / "net.onnx", yolox(), read=FIXED)
    with pytest.raises(ModelUnusable, match=r"does not name its classes; by its output it has 2: .*--names"):
        foreign_card(path)
    names.write_text("a\nb\nc\n", encoding="utf8")
    with pytest.raises(ModelUnusable, match=r"of 3 classes: its output is \(1, 126, 7\), expected"):
        foreign_card(path, names=names)
    with pytest.raises(ModelUnusable, match=r"missing\.names cannot be read"):
        foreign_card(path, names=tmp_path / "missing.names")


def test_a_family_that_does_not_fit_is_refused(names: Path, tmp_path: Path) -> None:
    path = saying(tmp_path / "net.onnx", v5(), read=FIXED)
    with pytest.raises(ModelUnusable, match=r"no family 'yolo9000'; there are: yolov8, "):
        foreign_card(path, names=names, family="yolo9000")
    with pytest.raises(ModelUnusable, match=r"expected \(batch, 6, anchors\) \(yolov8\)$"):
        foreign_card(path, names=names, family="yolov8")
    with pytest.raises(ModelUnusable, match=r"expected \(batch, anchors, 7\) \(yolox\)$"):  # three anchors a cell
        foreign_card(path, names=names, family="yolox")


def test_a_shipped_model_needs_no_telling(names: Path) -> None:
    assert not open_card("streetscape-v1").foreign
    with pytest.raises(ModelUnusable, match="'streetscape-v1' is a shipped model"):
        open_card("streetscape-v1", names=names)


def test_the_shipped_file_taken_as_a_foreign_one_finds_the_same() -> None:
    shipped = open_card("streetscape-v1")
    foreign = open_card(str(shipped.path))
    for fact in ("head", "pixels", "stride", "shape_hw", "classes"):
        assert getattr(foreign, fact) == getattr(shipped, fact)
    jpegs = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[20:23]]
    ours = Detector(shipped, engine="onnxruntime").detect_jpegs(jpegs, floor=0.25)
    for a, b in zip(ours, Detector(foreign, engine="onnxruntime").detect_jpegs(jpegs), strict=True):
        assert isinstance(a, Detections)
        assert isinstance(b, Detections)
        assert np.array_equal(a.xyxy, b.xyxy)
        assert len(a)


def test_the_command_takes_a_file_and_names(run: Run, names: Path, tmp_path: Path) -> None:
    path = saying(tmp_path / "net.onnx", yolox(), read=FIXED)
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((128, 192, 3), 90, np.uint8))
    status, document, _ = run("detect", tmp_path / "a.jpg", "--model", path, "--names", names, "--json")
    assert status == 0
    assert document["model"].startswith("net@sha256:")
    assert [thing["kind"] for thing in document["pictures"][0]["detections"]] == ["stall", "bin"]
    assert document["pictures"][0]["detections"][0]["box_xyxy"] == [60.0, 50.0, 100.0, 70.0]
    status, _, told = run("detect", tmp_path / "a.jpg", "--model", path)
    assert status == 1
    assert "does not name its classes" in told


def test_the_command_evaluates_a_file(run: Run, tmp_path: Path) -> None:
    path = saying(tmp_path / "net.onnx", v8(), read=FIXED, meta=META)
    for kind in ("images", "labels"):
        (tmp_path / "data" / kind / "test").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "data" / "images" / "test" / "a.jpg"), np.full((128, 192, 3), 90, np.uint8))
    rows = "0 0.833333 0.78125 0.083333 0.25\n1 0.416667 0.46875 0.208333 0.15625\n"  # the very boxes that the net says
    (tmp_path / "data" / "labels" / "test" / "a.txt").write_text(rows, encoding="utf8")
    yaml = tmp_path / "data" / "data.yaml"
    yaml.write_text("test: images/test\nnames: {0: bin, 1: stall}\n", encoding="utf8")
    status, document, _ = run("evaluate", "--data", yaml, "--model", path, "--json")
    assert status == 0
    assert document["model"] == "net"
    assert document["map50_95"] == pytest.approx(0.995, abs=1e-3)  # one picture: ultralytics' curve ends at 0.995


def test_the_int8_yolov8_of_the_checkpoints_finds_what_ultralytics_finds() -> None:
    if CHECKPOINTS is None:
        pytest.skip("JIEXUN_CHECKPOINTS does not name the folder of yolov8n_coco_int8.onnx: not tested on it")
    expected = np.load(Path(__file__).parent / "data" / "yolov8n_coco_int8.npz")
    card = open_card(str(Path(CHECKPOINTS) / "yolov8n_coco_int8.onnx"))
    assert (card.head, card.shape_hw, len(card.classes)) == ("xywh-scores", (640, 640), 80)
    detector = Detector(card, engine="onnxruntime")
    count = 0
    for file in expected["files"].tolist():
        (found,) = detector.detect([cv2.imread(str(SAMPLE / file))])
        theirs = expected[file]
        assert len(found) == len(theirs)
        for box, score, label in zip(theirs[:, :4], theirs[:, 4], theirs[:, 5], strict=True):
            near = np.abs(found.xyxy - box).max(axis=1) + 100 * (found.label != label)
            assert near.min() < 0.5
            assert found.score[near.argmin()] == pytest.approx(score, abs=5e-3)
            count += 1
    assert count > 10
