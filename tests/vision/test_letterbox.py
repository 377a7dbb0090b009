"""A picture goes into the model's input whole, never stretched, and boxes come back to where they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.batch import bucket_for, unit_planes
from vision.letterbox import Letterbox

SHAPE = (384, 640)


@pytest.mark.parametrize(
    ("source_wh", "left_top", "inner_wh"),
    [
        ((1920, 1080), (0, 12), (640, 360)),  # a dashcam: a third, 12 px of grey above and below
        ((1280, 720), (0, 12), (640, 360)),
        ((640, 640), (128, 0), (384, 384)),  # the data set's squares
        ((320, 240), (64, 0), (512, 384)),  # scaled up
        ((480, 640), (176, 0), (288, 384)),
        ((640, 384), (0, 0), (640, 384)),
        ((3000, 1), (0, 191), (640, 1)),  # at least one pixel is left
    ],
)
def test_a_picture_lies_where_arithmetic_on_paper_puts_it(
    source_wh: tuple[int, int], left_top: tuple[int, int], inner_wh: tuple[int, int]
) -> None:
    letterbox = Letterbox.fit(source_wh, SHAPE)
    assert (letterbox.left, letterbox.top) == left_top
    assert letterbox.inner_wh == inner_wh


sides = st.integers(16, 5000)


@given(sides, sides)
def test_no_picture_is_stretched_by_more_than_a_pixel(width: int, height: int) -> None:
    inner_w, inner_h = Letterbox.fit((width, height), SHAPE).inner_wh
    assert (inner_w, inner_h) == (640, inner_h) or (inner_w, inner_h) == (inner_w, 384)
    scale = min(640 / width, 384 / height)
    assert abs(inner_w - width * scale) <= 0.5
    assert abs(inner_h - height * scale) <= 0.5


@given(sides, sides, st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), max_size=5))
def test_boxes_return_to_where_they_were(width: int, height: int, corners: list[tuple[float, ...]]) -> None:
    letterbox = Letterbox.fit((width, height), SHAPE)
    xyxy = np.array(corners, np.float32).reshape(-1, 4) * np.array([width, height] * 2, np.float32)
    there_and_back = letterbox.source_from_input(letterbox.input_from_source(xyxy))
    assert there_and_back.shape == xyxy.shape
    np.testing.assert_allclose(there_and_back, xyxy, atol=2e-3 * max(width, height) / 100)


def test_boxes_that_reach_into_the_bars_are_cut_at_the_edge_of_the_picture() -> None:
    letterbox = Letterbox.fit((1920, 1080), SHAPE)
    assert letterbox.source_from_input(np.array([[-5, 0, 700, 384]], np.float32)).tolist() == [[0, 0, 1920, 1080]]


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (640, 640), (120, 90)])
def test_a_mark_in_the_picture_is_found_where_the_geometry_says(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    mark = np.array([[width // 4, height // 2, width // 2, height * 3 // 4]], np.float32)
    x1, y1, x2, y2 = mark[0].astype(int)
    image[y1:y2, x1:x2] = 255
    slot = np.full((*SHAPE, 3), 200, np.uint8)  # what the picture before left there
    letterbox = Letterbox.fit((width, height), SHAPE)
    letterbox.place(image, slot)
    rows, columns = np.nonzero(slot[..., 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, letterbox.input_from_source(mark)[0], atol=1.0)
    bars = np.ones(SHAPE, bool)
    inner_w, inner_h = letterbox.inner_wh
    bars[letterbox.top : letterbox.top + inner_h, letterbox.left : letterbox.left + inner_w] = False
    assert (slot[bars] == 114).all()


def test_planes_hold_rgb_from_0_to_1_channel_by_channel() -> None:
    canvas = np.zeros((2, *SHAPE, 3), np.uint8)
    blue = np.zeros((384, 640, 3), np.uint8)
    blue[..., 0] = 255  # BGR
    Letterbox.fit((640, 384), SHAPE).place(blue, canvas[1])
    tensor = unit_planes(canvas)
    assert tensor.shape == (2, 3, 384, 640)
    assert tensor.dtype == np.float32
    assert [float(tensor[1, channel].min()) for channel in range(3)] == [0.0, 0.0, 1.0]
    assert [float(tensor[1, channel].max()) for channel in range(3)] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("count", "bucket"), [(1, 1), (2, 2), (3, 4), (4, 4), (7, 8), (8, 8), (21, 8)])
def test_pictures_ride_in_the_smallest_bucket_that_holds_them(count: int, bucket: int) -> None:
    assert bucket_for(count) == bucket
