"""Licence plates and heads are covered, for good, and a gate that lacks a model stays shut."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from jiexun.privacy import gate, privacy_key
from jiexun.settings import Settings
from vision import regions
from vision.bystanders import Bodies, heads, once, shrunk
from vision.plates import PlateFinder, near, owned, unseen
from vision.privacy import FaceBlur, PrivacyUnavailable, enlarged

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
STREET = cv2.imread(str(SAMPLE / "0001.jpg"))
FACE = cv2.imread(str(Path(__file__).parent / "data" / "face.png"))  # part of a street picture with a person
NOBODY = np.zeros((0, 4), np.float32)


def plate() -> np.ndarray:
    """A street with a plate drawn into it: the sample's own plates are covered already."""
    image = np.full((480, 640, 3), 90, np.uint8)
    cv2.rectangle(image, (260, 220), (380, 254), (160, 60, 10), -1)
    cv2.rectangle(image, (263, 223), (377, 251), (255, 255, 255), 1)
    cv2.putText(image, "A-8B6Q2", (268, 246), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (255, 255, 255), 2, cv2.LINE_AA)
    return image


CAR = np.array([[180, 60, 460, 300]], np.float32)  # around the plate


def test_a_plate_in_a_vehicle_is_found_where_it_is_and_the_same_one_elsewhere_is_not_believed() -> None:
    (box,) = PlateFinder()(plate(), CAR)
    assert np.abs(box - (260, 220, 380, 254)).max() < 25
    assert len(PlateFinder()(plate(), NOBODY)) == 0


def test_a_covered_plate_is_not_found_again_and_few_colours_are_left_of_it() -> None:
    finder = PlateFinder()
    blurred, count = FaceBlur([lambda image: finder(image, CAR)]).blur(plate(), "frame-1")
    assert count == 1
    assert len(finder(blurred, CAR)) == 0
    assert len(np.unique(blurred[222:252, 262:378].reshape(-1, 3), axis=0)) <= 16


def test_a_plate_is_looked_for_again_in_the_largest_near_vehicles_only() -> None:
    vehicles = np.array([[0, 0, 60, 60], [0, 0, 90, 60], [0, 0, 300, 200], [0, 0, 500, 300]], np.float32)
    assert near(vehicles).tolist() == [vehicles[2].tolist(), vehicles[1].tolist()]
    assert len(near(np.tile(vehicles[2], (20, 1)))) == 6
    assert len(near(NOBODY)) == 0


def test_a_doubtful_plate_counts_in_or_close_to_a_vehicle() -> None:
    vehicle = np.array([[100, 100, 200, 200]], np.float32)
    boxes = np.array([[140, 170, 160, 180], [200, 150, 214, 160], [230, 150, 250, 160]], np.float32)
    assert owned(boxes, vehicle)[:, 0].tolist() == [True, True, False]
    assert owned(boxes, NOBODY).any(axis=1).tolist() == [False] * 3
    assert owned(NOBODY, vehicle).shape == (0, 1)


def test_a_near_facing_vehicle_without_a_found_plate_is_covered_where_it_must_be() -> None:
    front, side, far = [0, 0, 200, 180], [0, 0, 400, 180], [0, 0, 100, 90]
    vehicles = np.array([front, side, far], np.float32)
    assert np.abs(unseen(vehicles, NOBODY, 1.0) - [[30, 90, 170, 171]]).max() < 0.01
    assert len(unseen(vehicles, np.array([[90, 140, 110, 150]], np.float32), 1.0)) == 0
    assert len(unseen(vehicles, NOBODY, 0.5)) == 0  # too small as it is stored
    assert len(unseen(NOBODY, NOBODY, 1.0)) == 0


def test_the_head_of_a_person_is_in_what_is_covered_however_much_of_them_is_seen() -> None:
    whole, cut, small = [100, 50, 160, 250], [300, 280, 440, 480], [10, 10, 20, 45]
    regions = heads(np.array([whole, cut, small], np.float32))
    assert np.abs(regions - [[100, 44, 160, 90], [300, 274, 440, 371]]).max() < 0.01
    assert np.abs(np.array(enlarged(shrunk(regions)[0], (480, 640))) - regions[0]).max() <= 1
    assert len(heads(NOBODY)) == 0


def test_what_lies_in_a_covered_region_is_not_covered_twice() -> None:
    boxes = np.array([[10, 10, 30, 30], [0, 0, 100, 100], [90, 90, 130, 130]], np.float32)
    assert once(boxes).tolist() == [boxes[1].tolist(), boxes[2].tolist()]
    assert len(once(NOBODY)) == 0


def test_the_head_of_a_real_person_is_covered() -> None:
    people, _ = Bodies()(FACE)
    assert len(people)
    regions = FaceBlur().regions(FACE)
    for x1, y1, x2, y2 in heads(people.xyxy).tolist():
        assert any(a <= (x1 + x2) / 2 <= c and b <= (y1 + y2) / 2 <= d for a, b, c, d in regions)


def test_the_same_key_and_frame_give_the_same_bytes_and_another_key_others(tmp_path: Path) -> None:
    kept = Settings(data=tmp_path / "kept")
    first = gate(kept)().blur(FACE, "frame-1")[0]
    assert np.array_equal(first, gate(kept)().blur(FACE, "frame-1")[0])
    assert not np.array_equal(first, gate(Settings(data=tmp_path / "other"))().blur(FACE, "frame-1")[0])
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
    card = folder / "card.toml"
    card.write_text(card.read_text(encoding="utf8").replace("input_px", "px"), encoding="utf8")
    with pytest.raises(PrivacyUnavailable, match="lacks or mistakes 'input_px'"):
        opened(folder)
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
