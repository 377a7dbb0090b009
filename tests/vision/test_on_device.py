"""Pictures that the device decodes: the same boxes as by the host's way, and the host's way where it cannot.

The device is ONNX Runtime's CPU provider, and the codec OpenCV; addresses, shapes and order are those of a card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from ingest.quality import Fault
from models.card import find_card
from vision.batch import unit_planes
from vision.detections import Detections
from vision.detector import Detector
from vision.engine import EngineUnavailable, Layout
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.jpeg import PictureUnreadable, decode_jpeg
from vision.jpeg_nvidia import NvJpegs
from vision.letterbox import Letterbox
from vision.on_device import PLACING, Decoded, DeviceJpegs
from vision.placing import placing
from vision.postprocess import iou_matrix

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
JPEGS = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[20:30]]
CARD = find_card("streetscape-v1")
BATCHES = Layout(lanes=1, threads=2, buckets=(1, 2, 4))


class HostCodec:
    """A codec whose device is the host."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, jpegs: Sequence[bytes]) -> list[Decoded | None]:
        self.batches.append(len(jpegs))
        return [self._decode(jpeg) for jpeg in jpegs]

    def _decode(self, jpeg: bytes) -> Decoded | None:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            return None
        return Decoded(image.ctypes.data, image.shape, image)


class Refusing(HostCodec):
    """Cannot read every second picture, and reads one askew."""

    def __call__(self, jpegs: Sequence[bytes]) -> list[Decoded | None]:
        found = super().__call__(jpegs)
        askew = found[0]._replace(shape=(7, 7, 3)) if found[0] else None
        return [askew, *(None if i % 2 else one for i, one in enumerate(found[1:]))]


def street(width: int, height: int) -> bytes:
    image = cv2.imdecode(np.frombuffer(JPEGS[0], np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(image, (width, height)), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 480), (1081, 1923), (333, 100), (3840, 2160)])
def test_a_picture_placed_on_the_device_is_the_one_placed_on_the_host(size: tuple[int, int]) -> None:
    jpeg = street(*size)
    image, letterbox = decode_jpeg(jpeg, CARD.shape_hw)
    canvas = np.zeros((1, *CARD.shape_hw, 3), np.uint8)
    letterbox.place(image, canvas[0])
    planes = ort.OrtValue.ortvalue_from_numpy(np.zeros((2, 3, *CARD.shape_hw), np.float32))
    jpegs = DeviceJpegs(HostCodec(), ort.InferenceSession(PLACING, providers=["CPUExecutionProvider"]), "cpu")
    jpegs.want(1, jpeg, Letterbox.fit(size, CARD.shape_hw))
    assert jpegs.decode() == []
    assert jpegs.ready == 1
    jpegs.place(planes)
    apart = 255 * np.abs(planes.numpy()[1] - unit_planes(canvas)[0])
    assert apart.mean() < 2.0  # decoders round apart, and shrink a little otherwise
    assert np.percentile(apart, 99) < 30  # at edges, where a side is no multiple of its blocks
    assert planes.numpy()[0].max() == 0.0  # the other slot is untouched


def test_boxes_are_those_of_the_hosts_way() -> None:
    codec = HostCodec()
    there = Detector(CARD, engine=OnnxRuntimeEngine(CARD, BATCHES, bound=True, codec=codec))
    here = Detector(CARD, engine=OnnxRuntimeEngine(CARD, BATCHES, bound=True))
    for one, other in zip(there.detect_jpegs(JPEGS), here.detect_jpegs(JPEGS), strict=True):
        assert isinstance(one, Detections)
        assert isinstance(other, Detections)
        sure = other.score > 0.6
        overlap = iou_matrix(other.xyxy[sure], one.xyxy) * (other.label[sure][:, None] == one.label[None])
        assert (overlap.max(axis=1, initial=0.0) > 0.85).all()
    assert sum(codec.batches) == len(JPEGS)
    assert max(codec.batches) > 1


def test_what_the_device_cannot_read_goes_the_hosts_way() -> None:
    refusing = Detector(CARD, engine=OnnxRuntimeEngine(CARD, BATCHES, bound=True, codec=Refusing()))
    here = Detector(CARD, engine=OnnxRuntimeEngine(CARD, BATCHES, bound=True))
    found = refusing.detect_jpegs([JPEGS[0], b"\xff\xd8 no picture", *JPEGS[1:6]])
    wanted = here.detect_jpegs([JPEGS[0], b"\xff\xd8 no picture", *JPEGS[1:6]])
    assert isinstance(found[1], PictureUnreadable)
    assert [len(one) for one in found if isinstance(one, Detections)] == [
        len(one) for one in wanted if isinstance(one, Detections)
    ]


def test_a_gate_that_needs_pixels_keeps_the_picture_on_the_host() -> None:
    codec = HostCodec()
    detector = Detector(CARD, engine=OnnxRuntimeEngine(CARD, BATCHES, bound=True, codec=codec))
    grey = cv2.imencode(".jpg", np.full((1080, 1920, 3), 90, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
    assert detector.submit_gated(grey).result(30) is Fault.COVERED
    assert codec.batches == [] or sum(codec.batches) == 0


def test_without_a_card_nvjpeg_says_so() -> None:
    with pytest.raises(EngineUnavailable, match=r"nvImageCodec|CUDA"):
        NvJpegs()


def test_the_shipped_net_is_the_one_that_is_written_here() -> None:
    assert PLACING.read_bytes() == placing().SerializeToString()
