"""Licence plates and heads are covered, for good, and a gate that lacks a model stays shut."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from jiexun.privacy import gate, privacy_key
from jiexun.settings import Settings
from vision import regions
from vision.bystanders import Bodies, head, heads, shrunk
from vision.plates import CORNERS, PlateFinder, covering, priors, upright
from vision.privacy import FaceBlur, PrivacyUnavailable, enlarged

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
STREET = cv2.imread(str(SAMPLE / "0001.jpg"))
NOBODY = np.zeros((0, 4), np.float32)


def plate() -> np.ndarray:
    """A street with a plate drawn into it: the sample's own plates are covered already."""
    image = np.full((480, 640, 3), 90, np.uint8)
    cv2.rectangle(image, (260, 220), (380, 254), (160, 60, 10), -1)
    cv2.rectangle(image, (263, 223), (377, 251), (255, 255, 255), 1)
    cv2.putText(image, "A-8B6Q2", (268, 246), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (255, 255, 255), 2, cv2.LINE_AA)
    return image


def test_a_blue_plate_is_found_where_it_is() -> None:
    (box,) = PlateFinder()(plate(), NOBODY)
    assert np.abs(box - (260, 220, 380, 254)).max() < 25


def test_a_covered_plate_is_not_found_again_and_few_colours_are_left_of_it() -> None:
    blurred, count = FaceBlur().blur(plate(), "frame-1")
    assert count >= 1
    assert len(PlateFinder()(blurred, NOBODY)) == 0
    assert len(np.unique(blurred[222:252, 262:378].reshape(-1, 3), axis=0)) <= 16 * count


def test_the_priors_are_as_many_as_the_net_has_rows_and_a_still_one_is_a_point() -> None:
    assert priors().shape == (4385, 3)
    box = upright(np.zeros((1, 14), np.float32), priors()[:1])
    assert box.tolist() == [[4, 4, 4, 4]]
    assert max(CORNERS) + 1 < 14


@pytest.mark.parametrize("size_wh", [(640, 480), (1920, 1080), (200, 150)])
def test_windows_cover_every_pixel_of_a_picture(size_wh: tuple[int, int]) -> None:
    seen = np.zeros((size_wh[1], size_wh[0]), bool)
    for left, top, width in covering(*size_wh):
        seen[int(np.ceil(top)) : int(top + width * 0.75), int(np.ceil(left)) : int(left + width)] = True
    assert seen[1:-1, 1:-1].mean() > 0.99


def test_a_head_is_covered_unless_a_face_was_found_in_it() -> None:
    person = np.array([[100, 50, 160, 250]], np.float32)
    (box,) = heads(person, NOBODY)
    assert np.abs(np.array(enlarged(box, (480, 640))) - head(person[0].tolist())).max() <= 1
    assert len(heads(person, np.array([[120, 55, 138, 80]], np.float32))) == 0
    assert len(heads(person, np.array([[120, 200, 138, 225]], np.float32))) == 1
    assert (shrunk(np.array([0.0, 0.0, 30.0, 30.0])) == (5, 5, 25, 25)).all()


def test_the_same_key_and_frame_give_the_same_bytes_and_another_key_others(tmp_path: Path) -> None:
    kept = Settings(data=tmp_path / "kept")
    first = gate(kept)().blur(plate(), "frame-1")[0]
    assert np.array_equal(first, gate(kept)().blur(plate(), "frame-1")[0])
    assert not np.array_equal(first, gate(Settings(data=tmp_path / "other"))().blur(plate(), "frame-1")[0])
    assert privacy_key(Settings(data=tmp_path, privacy_key="of this city")) == b"of this city"
    assert (tmp_path / "kept" / "privacy.key").stat().st_mode & 0o077 == 0


def test_a_key_that_cannot_be_kept_or_is_damaged_closes_the_gate(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(PrivacyUnavailable, match="JIEXUN_PRIVACY_KEY"):
        gate(Settings(data=blocked))()
    (tmp_path / "privacy.key").write_bytes(b"short")
    with pytest.raises(PrivacyUnavailable, match="damaged"):
        gate(Settings(data=tmp_path))()


@pytest.mark.parametrize(("name", "opened"), [("plates", PlateFinder), ("bodies", Bodies)])
def test_a_model_that_is_missing_or_altered_closes_the_gate(tmp_path: Path, name: str, opened: type) -> None:
    folder = Path(shutil.copytree(regions.PRIVACY / name, tmp_path / name))
    (model,) = folder.glob("*.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.raises(PrivacyUnavailable, match="does not load"):
        opened(folder)
    model.unlink()
    with pytest.raises(PrivacyUnavailable, match="cannot be read"):
        opened(folder)


def test_of_a_real_street_picture_only_the_regions_change() -> None:
    blur = FaceBlur()
    blurred, _ = blur.blur(STREET, "frame-1")
    outside = np.ones(STREET.shape[:2], bool)
    for x1, y1, x2, y2 in blur.regions(STREET):
        outside[y1:y2, x1:x2] = False
    assert np.array_equal(blurred[outside], STREET[outside])
    assert outside.mean() > 0.9
