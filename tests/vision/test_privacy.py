"""Nobody is recognisable in evidence, and what cannot be blurred is not kept."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision import regions
from vision.privacy import FaceBlur, FaceFinder, PrivacyUnavailable, encode_evidence, enlarged, mosaic

FACE = cv2.imread(str(Path(__file__).parent / "data" / "face.png"))  # a street picture's part, one face 11 px wide
FACE_XYXY = (36, 29, 49, 46)  # drawn by hand around it


@pytest.fixture(scope="module")
def blur() -> FaceBlur:
    return FaceBlur()


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_face_in_a_street_picture_is_covered_and_nothing_else_is_touched() -> None:
    blurred, count = FaceBlur([FaceFinder()]).blur(FACE, "frame-1")
    assert count == 1
    x1, y1, x2, y2 = FACE_XYXY
    change = np.abs(blurred.astype(int) - FACE.astype(int)).max(axis=2)
    assert (change[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] > 0).mean() > 0.9
    far = np.ones(change.shape, bool)
    far[y1 - 10 : y2 + 10, x1 - 10 : x2 + 10] = False
    assert not change[far].any()
    assert len(FaceFinder()(blurred)) == 0


def test_the_callers_picture_is_left_as_it_was(blur: FaceBlur) -> None:
    image = FACE.copy()
    blur.blur(image, "frame-1")
    assert np.array_equal(image, FACE)


def test_a_replay_writes_the_same_bytes_and_another_frame_other_noise(blur: FaceBlur) -> None:
    first = blur.blur(FACE, "frame-1")[0]
    assert encode_evidence(first) == encode_evidence(FaceBlur().blur(FACE, "frame-1")[0])
    assert not np.array_equal(first, blur.blur(FACE, "frame-2")[0])
    assert not np.array_equal(first, FaceBlur(key=b"of this city").blur(FACE, "frame-1")[0])


def test_two_different_faces_with_the_same_block_means_look_the_same() -> None:
    blocks = np.repeat(np.repeat(rng().integers(40, 215, (4, 4, 3)), 16, axis=0), 16, axis=1)
    fine = np.kron(np.array([[1, -1], [-1, 1]]), np.ones((8, 8), int))[..., None]  # of mean zero over a block
    results = []
    for strength in (0, 35):
        image = (blocks + strength * np.tile(fine, (4, 4, 1))).astype(np.uint8)
        mosaic(image, (0, 0, 64, 64), rng())
        results.append(image)
    assert np.array_equal(results[0], results[1])


@pytest.mark.parametrize("size_wh", [(64, 64), (13, 18), (300, 200), (3, 50), (1, 1)])
def test_no_more_than_a_few_blocks_are_left_of_a_face(size_wh: tuple[int, int]) -> None:
    image = rng().integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    mosaic(image, (0, 0, *size_wh), rng())
    assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 16


def test_a_box_is_enlarged_but_stays_inside_the_picture() -> None:
    assert enlarged(np.array([100, 100, 140, 160], np.float32), (480, 640)) == (86, 79, 154, 181)
    assert enlarged(np.array([-8, 450, 30, 490], np.float32), (480, 640)) == (0, 436, 44, 480)
    outside = enlarged(np.array([700, 10, 720, 30], np.float32), (480, 640))
    image = np.full((480, 640, 3), 9, np.uint8)
    mosaic(image, outside, rng())
    assert (image == 9).all()


def test_other_finders_can_stand_beside_the_faces() -> None:
    def plates(image: np.ndarray) -> np.ndarray:
        return np.array([[10, 60, 30, 68]], np.float32)

    blurred, count = FaceBlur([FaceFinder(), plates]).blur(FACE, "frame-1")
    assert count == 2
    assert (blurred[61:67, 11:29] != FACE[61:67, 11:29]).any()


def test_a_street_without_people_is_left_alone(blur: FaceBlur) -> None:
    empty = np.full((480, 640, 3), 128, np.uint8)
    blurred, count = blur.blur(empty, "frame-1")
    assert count == 0
    assert np.array_equal(blurred, empty)


def test_a_detector_that_is_missing_cut_or_altered_is_unavailable(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(regions.PRIVACY, tmp_path / "privacy"))
    (model,) = folder.glob("*.onnx")
    data = model.read_bytes()
    for damage in (data[:1000], data[:-1] + b"\0", b""):
        model.write_bytes(damage)
        with pytest.raises(PrivacyUnavailable, match=r"does not load: model file .*yunet"):
            FaceFinder(folder)
    model.unlink()
    with pytest.raises(PrivacyUnavailable, match="cannot be read"):
        FaceFinder(folder)
    (folder / "card.toml").unlink()
    with pytest.raises(PrivacyUnavailable, match="does not load"):
        FaceFinder(folder)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 3), np.float32),
        np.zeros((0, 100, 3), np.uint8),
    ],
    ids=["transparent", "grey", "float", "empty"],
)
def test_what_is_no_picture_is_refused_not_passed_through(blur: FaceBlur, image: np.ndarray) -> None:
    with pytest.raises(PrivacyUnavailable, match="no picture of 8-bit BGR pixels"):
        blur.blur(image, "frame-1")


@pytest.mark.parametrize(
    ("size_wh", "stored_wh"), [((1920, 1080), (1280, 720)), ((1080, 1920), (720, 1280)), ((640, 480), (640, 480))]
)
def test_evidence_is_a_jpeg_of_bounded_size_and_knows_its_scale(
    size_wh: tuple[int, int], stored_wh: tuple[int, int]
) -> None:
    jpeg, scale = encode_evidence(np.full((size_wh[1], size_wh[0], 3), 90, np.uint8))
    stored = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (stored.shape[1], stored.shape[0]) == stored_wh
    assert scale == pytest.approx(stored_wh[0] / size_wh[0])
    assert b"Exif" not in jpeg
