"""The second head of the plate net: what it learns from, and the file that has both heads."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from models.plates import cells, learn
from models.plates.descent import descended, forward
from models.plates.drawn import LAYOUTS, WEIGHTS, hung, plate, worn
from models.plates.head import Cells, Head, solved
from models.plates.net import BELIEVED, MOST, Net, with_head
from vision.regions import PRIVACY

NET = PRIVACY / "plates" / "plates_yolov8n.onnx"
GREY = np.full((128, 160, 3), 120, np.uint8)
CHANNELS = 32 + 64 + 64 + 128


def test_a_drawn_plate_has_a_layouts_shape_and_two_colours_at_least() -> None:
    aspects = {int(40 * layout.aspect) for layout in LAYOUTS}
    for seed in range(30):
        image = plate(np.random.default_rng(seed), 40)
        assert image.shape[0] == 40
        assert image.shape[1] in aspects
        assert image.std() > 5
    assert WEIGHTS.sum() == pytest.approx(1)


def test_a_picture_changes_inside_the_box_of_the_plate_alone() -> None:
    for seed in range(20):
        out, (x1, y1, x2, y2) = hung(GREY, np.array([80.0, 64.0]), 16, 120.0, np.random.default_rng(seed))
        changed = np.argwhere((out != GREY).any(axis=2))
        assert len(changed) > 50
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        assert left >= x1 - 3
        assert top >= y1 - 3
        assert right <= x2 + 3
        assert bottom <= y2 + 3
        assert x1 < 80 < x2
        assert y1 < 64 < y2


def test_the_same_seed_draws_the_same() -> None:
    one, two = (
        worn(hung(GREY, np.array([80.0, 64.0]), 16, 120.0, rng)[0], rng) for rng in map(np.random.default_rng, (7, 7))
    )
    assert np.array_equal(one, two)


def test_cells_in_the_middle_of_a_plate_know_how_far_its_sides_are() -> None:
    there, sides = cells.where([(100, 60, 140, 76)])
    rows, columns = np.nonzero(there)
    assert (columns.min(), columns.max()) == (27, 32)  # cells whose middles are in 110 to 130
    assert (rows.min(), rows.max()) == (16, 17)  # 64 to 72
    assert sides[16, 27].tolist() == [10, 6, 30, 10]  # from 110, 66
    assert not cells.where([])[0].any()


def test_a_vehicle_in_which_the_net_finds_no_plate_hides_all_but_its_top() -> None:
    vehicles = np.array([[0.0, 0, 100, 100], [200, 0, 300, 100]])
    own = np.array([[240, 70, 260, 80, 0.9], [40, 70, 60, 80, 0.1]], np.float32)
    assert cells.hidden(vehicles, own) == [[0, 35, 100, 110]]
    assert cells.hidden(np.zeros((0, 4)), own) == []
    assert cells.around([[8, 8, 15, 11]], 0, (8, 8)).sum() == 2
    assert cells.around([[8, 8, 15, 11]], 1, (8, 8)).sum() == 12
    assert not cells.around([[-40, -40, -30, -30]], 0, (8, 8)).any()


def test_a_head_learns_which_cells_are_plates_and_where_their_sides_are() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (6000, 8)).astype(np.float16)
    there = features[:, 0] + features[:, 1] > 1
    sides = np.exp(2 + np.clip(features[:, 2:6].astype(np.float32), -1, 1))
    data = Cells(features, there, np.zeros(6000, bool), np.where(there[:, None], sides, 0).astype(np.float32))
    head = solved(data, hidden=16, epochs=60, ridge=0.0, seed=1)
    clear = np.abs(features[:, 0] + features[:, 1] - 1) > 0.7
    assert ((head.logits(features.astype(np.float32)) > 0) == there)[clear].mean() > 0.97


def test_learning_two_layers_lowers_the_error() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    wanted = x[:, :1] * 2
    layers = descended(x, 1, lambda out, rows: np.clip(out - wanted[rows], -1, 1), (16, 200, 0.0), rng)
    assert np.abs(forward(layers, x) - wanted).mean() < 0.2


def test_pictures_that_are_labelled_are_not_learned_from(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"one")
    (tmp_path / "two.jpg").write_bytes(b"two")
    two = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"  # printf two | sha256sum
    assert list(learn.unknown(tmp_path, {two})) == [tmp_path / "one.jpg"]


@pytest.fixture(scope="module")
def head() -> Head:
    rng = np.random.default_rng(3)

    def layers(outputs: int) -> tuple[np.ndarray, ...]:
        shapes = (CHANNELS, 4), (4,), (4, outputs), (outputs,)
        return tuple(rng.normal(0, 0.2, shape).astype(np.float32) for shape in shapes)

    return Head(np.zeros(CHANNELS, np.float32), np.ones(CHANNELS, np.float32), layers(1), layers(4))


def test_the_file_with_both_heads_has_the_nets_own_boxes_first_and_the_heads_after_them(
    head: Head, tmp_path: Path
) -> None:
    with_head(NET, head, tmp_path / "both.onnx", bodies=0.5, elsewhere=0.6)
    image = np.asarray(cv2.resize(plate(np.random.default_rng(1), 64), (96, 64)), np.uint8)
    batch = (image[:, :, ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)
    own, both = (
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": batch})[0]
        for path in (NET, tmp_path / "both.onnx")
    )
    assert both.shape == (1, 5, own.shape[2] + 24 * 16)
    assert np.allclose(both[:, :, : own.shape[2]], own, atol=1e-4)
    x, y, wide, high, score = both[0][:, own.shape[2] :]
    features, _ = Net(NET)(image)
    logit = head.logits(features.reshape(CHANNELS, -1).T)
    half, more = (np.log(share / (1 - share)) for share in BELIEVED)
    expected = 1 / (1 + np.exp(-(half + logit * (more - half) / np.log(0.6 / 0.4))))  # 0.5 has the logit 0
    assert np.allclose(score, np.minimum(expected, MOST), atol=1e-3)
    left, up, right, down = np.exp(
        np.clip(forward(head.sides, np.clip(features.reshape(CHANNELS, -1).T, -6, 6)), 0, 5)
    ).T
    middle_x, middle_y = np.tile(np.arange(2, 96, 4), 16), np.repeat(np.arange(2, 64, 4), 24)
    assert np.allclose(x - wide / 2, middle_x - left, atol=0.01)
    assert np.allclose(x + wide / 2, middle_x + right, atol=0.01)
    assert np.allclose(y - high / 2, middle_y - up, atol=0.01)
    assert np.allclose(y + high / 2, middle_y + down, atol=0.01)
