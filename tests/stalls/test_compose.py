"""Cut-outs on street pictures: where they stand, how large they are, what is labelled."""

import json
import math
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.stalls.blend import Look, covered_again, pasted
from models.stalls.compose import composed, read_cut_outs, scenes, write
from models.stalls.real import Real, cropped, folds, mixed, read_scene
from models.stalls.street import Street, clipped, hidden_share, yolo_line
from vision.dataset import read_boxes

LEVEL = Street(width_px=640, height_px=384, horizon_px=180.0, lens_m=1.5, hfov_deg=65.0)
GREY = np.full((384, 640, 3), 120, np.uint8)


def test_a_thing_as_tall_as_the_lens_reaches_the_horizon() -> None:
    for foot in (200.0, 260.0, 380.0):
        assert foot - 1.5 * LEVEL.px_per_m(foot) == pytest.approx(180.0)


def test_a_metre_is_as_large_as_the_pinhole_says() -> None:
    focal = 320 / math.tan(math.radians(32.5))
    assert LEVEL.px_per_m(LEVEL.foot_px(10.0)) == pytest.approx(focal / 10.0)
    assert LEVEL.look_down(LEVEL.foot_px(10.0)) == pytest.approx(math.atan(1.5 / 10.0))


def test_above_the_horizon_nothing_stands() -> None:
    with pytest.raises(ValueError, match="horizon"):
        LEVEL.px_per_m(180.0)


@pytest.mark.parametrize(
    ("box", "seen", "share"),
    [
        ((10, 10, 20, 20), (10, 10, 20, 20), 1.0),
        ((-10, 10, 10, 20), (0, 10, 10, 20), 0.5),
        ((-30, 10, -10, 20), (0, 10, 0, 20), 0.0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
    ],
)
def test_a_box_is_cut_at_the_edges(box, seen, share) -> None:  # type: ignore[no-untyped-def]
    assert clipped(box, (640, 384)) == (seen, share)


def test_how_much_of_a_box_is_hidden() -> None:
    assert hidden_share((0, 0, 10, 10), (5, 0, 20, 10)) == 0.5
    assert hidden_share((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0


def cut_out(folder: Path, name: str, *, stall: bool, reach_m: float) -> None:
    """A red board, 1 m wide and 2 m high, 40 px to the metre, with a clear edge of 10 px."""
    image = np.zeros((100, 60, 4), np.uint8)
    image[10:90, 10:50] = (0, 0, 255, 255)
    cv2.imwrite(str(folder / f"{name}.png"), image)
    facts = {"kind": "board", "stall": stall, "lens_m": 1.5, "reach_m": reach_m, "px_per_m": 40.0, "foot_px": 90.0}
    (folder / f"{name}.json").write_text(json.dumps(facts | {"box_xyxy": [10, 10, 50, 90]}), encoding="utf8")


def test_a_cut_out_covers_what_it_is_laid_on_and_nothing_else(tmp_path: Path) -> None:
    cut_out(tmp_path, "a", stall=True, reach_m=8.0)
    image = read_cut_outs(tmp_path)[0].image()
    out = pasted(GREY, image, (100, 100), 1.0, Look(colour=0.0, blur_px=0.0), seed=1)
    assert (out[111:189, 111:149] == (0, 0, 255)).all()
    out[110:190, 110:150] = 120
    assert (out == GREY).all()
    assert (pasted(GREY, image, (700, 100), 1.0, Look(), seed=1) == GREY).all()  # beside the picture


def test_what_stands_in_front_stays_in_front() -> None:
    out = covered_again(np.zeros_like(GREY), GREY, (10, 10, 20, 30))
    assert (out[10:30, 10:20] == 120).all()
    assert out.sum() == 120 * 3 * 200


def test_labels_lie_where_stalls_were_put_and_others_have_none(tmp_path: Path) -> None:
    cut_out(tmp_path, "a", stall=True, reach_m=8.0)
    cut_out(tmp_path, "b", stall=False, reach_m=8.0)
    cut_outs = read_cut_outs(tmp_path)
    only_others = [one for one in cut_outs if not one.stall]
    seen = 0
    for number in range(30):
        scene = composed(GREY.copy(), [cut_outs[0]] * 2 + only_others, random.Random(number))
        for x1, y1, x2, y2 in scene.boxes:
            inside = scene.picture[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].astype(int)
            assert (np.abs(inside - 120).max(axis=2) > 20).mean() > 0.5  # it is there
            seen += 1
            if x1 > 0 and x2 < 640 and y1 > 0 and y2 < 384:
                assert (y2 - y1) / (x2 - x1) == pytest.approx(2.0)  # and not out of shape
    assert seen > 15


def test_the_same_seed_composes_the_same_pictures(tmp_path: Path) -> None:
    cut_out(tmp_path, "a", stall=True, reach_m=8.0)
    street = tmp_path / "street.jpg"
    cv2.imwrite(str(street), np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    twice = [list(scenes([street], read_cut_outs(tmp_path), 4, seed=3)) for _ in range(2)]
    for (_, a), (_, b) in zip(*twice, strict=True):
        assert a.boxes == b.boxes
        assert (a.picture == b.picture).all()


def test_what_is_written_is_what_the_evaluation_reads(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    scene = read_scene(real_picture(tmp_path))
    write(tmp_path, "one", scene, 80)
    boxes, label = read_boxes(tmp_path / "images" / "one.jpg", {0: "street_stall"})
    assert label.tolist() == [0]
    np.testing.assert_allclose(boxes[0], [0.25, 0.5, 0.5, 0.75], atol=1e-5)


def real_picture(folder: Path) -> Real:
    path = folder / "real.png"
    cv2.imwrite(str(path), GREY)
    return Real(path, "g", ((0.25, 0.5, 0.5, 0.75),))


def test_a_crop_halves_no_stall(tmp_path: Path) -> None:
    scene = read_scene(real_picture(tmp_path))
    scene.picture[192:288, 160:320] = 255  # the stall
    for number in range(20):
        part = cropped(scene, random.Random(number))
        bright = (part.picture.astype(int).max(axis=2) > 160).sum()
        assert bool(part.boxes) == bool(bright > 100)


def test_a_stall_set_into_another_picture_is_labelled_there(tmp_path: Path) -> None:
    source = read_scene(real_picture(tmp_path))
    source.picture[192:288, 160:320] = 255
    onto = read_scene(Real(tmp_path / "real.png", "g", ()))
    mixed(onto, source.picture, source.boxes[0], random.Random(2))
    (x1, y1, x2, y2) = onto.boxes[0]
    assert (onto.picture[int(y1) + 9 : int(y2) - 9, int(x1) + 9 : int(x2) - 9] == 255).all()


def test_a_group_is_in_one_fold_and_folds_share_the_boxes() -> None:
    of = folds({"a": 14, "b": 13, "c": 10, "d": 3}, {"a": 11, "b": 10, "c": 6, "d": 3, "e": 4, "f": 2})
    assert [sorted(g for g in "abcd" if of[g] == k) for k in range(3)] == [["a"], ["b"], ["c", "d"]]
    assert set(of) == set("abcdef")


def test_a_label_row_is_centre_and_size_in_fractions() -> None:
    assert yolo_line((160, 96, 320, 288), (640, 384)) == "0 0.375000 0.500000 0.250000 0.500000"
