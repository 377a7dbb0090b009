"""The head: what cells answer for, and that what is solved finds what was put there, in pictures it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.stalls.head import CHANNELS, SHAPE_HW, STRIDES, Recipe, Sums, answers, cells, grid, solved, sums
from models.stalls.kept import Kept
from models.stalls.learn import count, read_counts, read_heads, say, solve, unit_of, units, write_counts, write_heads

RECIPE = Recipe(reach=0.5, sizes_px=((0, 90), (45, 180), (120, 2000)), shrink=0.1, ridge=0.01, every=3)
NONE = np.zeros((0, 4), np.float32)


def picture(name: str, box: tuple[float, float, float, float] | None, seed: int) -> Kept:
    """Noise; in a stall the first channel is raised, and four others tell the distances to its sides."""
    rng = np.random.default_rng(seed)
    maps = []
    for level, channels in enumerate(CHANNELS):
        x = rng.normal(0.0, 0.1, (len(grid(level)), channels)).astype(np.float16)
        if box is not None:
            centre = grid(level)
            sides = np.concatenate([centre - box[:2], np.array(box[2:]) - centre], axis=1) / STRIDES[level]
            inside = (sides > 0).all(axis=1)
            x[inside, 0] += 3.0
            x[inside, 1:5] = np.log(sides[inside])
        maps.append(x)
    boxes = NONE if box is None else np.array([box], np.float32)
    inner = np.array([0, 0, SHAPE_HW[1], SHAPE_HW[0]], np.float32)
    return Kept(name, tuple(maps), boxes, inner, np.array([1280, 768], np.int64))


def test_the_middle_half_of_a_box_answers_for_it_and_the_rest_says_nothing() -> None:
    box = np.array([[100, 100, 180, 160]], np.float32)  # 80 x 60: the middle is 120 to 160 by 115 to 145
    got = answers(box, 0, RECIPE)  # cells lie at 4, 12, 20 …
    assert (got == 0).sum() == 5 * 4
    assert (got == -2).sum() == 9 * 7 - 5 * 4
    assert (answers(box, 2, RECIPE) >= 0).sum() == 0  # too small for the coarsest level


def test_no_box_and_no_cell() -> None:
    assert (answers(NONE, 1, RECIPE) == -1).all()
    head = solved([sums(np.zeros((960, 128), np.float32), NONE, 1, RECIPE)], RECIPE)
    assert head.told(np.zeros((960, 128), np.float32), 1)[1].max() < 1e-6  # nothing was learned: nothing is found


def test_cells_lie_at_their_middle() -> None:
    assert cells(2, 2, 8).tolist() == [[4, 4], [12, 4], [4, 12], [12, 12]]


def test_sums_of_pictures_are_the_sums_of_their_cells() -> None:
    one, two = (picture("a", (96, 96, 160, 160), seed) for seed in (1, 2))
    parts = [sums(one.level(1), one.boxes, 1, RECIPE), sums(two.level(1), two.boxes, 1, RECIPE)]
    both = parts[0] + parts[1]
    assert both.yes == pytest.approx(2.0)  # each stall weighs 1
    assert both.no == parts[0].no + parts[1].no
    np.testing.assert_allclose((Sums.none(128) + parts[0]).xy, parts[0].xy)


@pytest.mark.parametrize(
    ("level", "box", "sizes"),
    [
        (0, (304, 208, 352, 256), (40, 85)),
        (1, (200, 120, 330, 250), (60, 170)),
        (2, (96, 64, 346, 304), (130, 300)),
    ],
)
def test_a_stall_is_found_where_it_is_in_a_picture_never_seen(
    level: int, box: tuple[float, float, float, float], sizes: tuple[float, float], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "stalls").mkdir()
    files = []
    for seed in range(12):
        w, h = rng.uniform(*sizes, 2)
        x, y = rng.uniform(0, 630 - w), rng.uniform(0, 380 - h)
        files.append(tmp_path / "stalls" / f"p{seed:02d}.npz")
        picture(files[-1].stem, (x, y, x + w, y + h) if seed % 6 else None, seed).write(files[-1])
    write_counts(tmp_path / "counts.npz", count(files, {path.stem: 0 for path in files}, RECIPE))
    heads = solve(read_counts(tmp_path / "counts.npz"), ["real_0"], RECIPE)
    write_heads(tmp_path / "heads.npz", {("real", 1): heads})
    again = read_heads(tmp_path / "heads.npz", "real", 1)
    seen, empty = picture("new", box, 99), picture("empty", None, 98)
    told, score = again[level].told(seen.level(level), level)
    middle = answers(seen.boxes, level, RECIPE) == 0
    assert middle.any()
    np.testing.assert_allclose(np.median(told[middle], axis=0), box, atol=0.15 * (box[2] - box[0]))
    assert np.median(score[middle]) > again[level].told(empty.level(level), level)[1].max()
    assert say(again, seen)["truth"] == [[2 * v for v in box]]


def test_nothing_of_a_fold_is_learned_from_when_it_is_held_out() -> None:
    fold = {"dhk_1": 0, "vsh_1": 1}
    paths = [
        Path("k/stalls/dhk_1.npz"),
        Path("k/real/fold0_0001.npz"),
        Path("k/real/fold2_0001.npz"),
        Path("k/composed/c.npz"),
    ]
    assert [unit_of(path, fold) for path in paths] == ["real_0", "real_0", "real_2", "composed"]
    assert units("both", 0) == ["real_1", "real_2", "composed"]
    assert units("real", -1) == ["real_0", "real_1", "real_2"]
    assert units("composed", 2) == ["composed"]


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = picture("a", (96, 96, 160, 160), 1)
    kept.write(tmp_path / "a.npz")
    again = Kept.read(tmp_path / "a.npz")
    assert again.name == "a"
    assert all((a == b).all() for a, b in zip(kept.maps, again.maps, strict=True))
    assert again.in_source(again.boxes).tolist() == [[192, 192, 320, 320]]
