"""Fine-tuning: what a run learns from, how fast, and what it says of a picture. The net itself needs torch."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.stalls.compose import unlike
from models.stalls.finetune import arm_and_fold, cosine, learned_from, row, run_of
from vision.stalls import seen

MADE = {k: [Path(f"real/images/fold{k}_0001.jpg"), Path(f"real/images/fold{k}_0002.jpg")] for k in range(3)}
ORIGINALS = {k: [Path(f"stalls/images/drive{k}_07.jpg")] for k in range(3)}
COMPOSED = [Path(f"composed/images/composed_{n:05d}.jpg") for n in range(10)]
SCHEDULE = {"originals": 2, "composed_share": 0.4}
WHOLE = np.array([64, 0, 576, 384], np.float32)  # where 640 x 480 lies in 640 x 384


def files(run: str) -> list[str]:
    found = learned_from(run, composed=COMPOSED, made=MADE, originals=ORIGINALS, schedule=SCHEDULE)
    return [path.stem for path in found]


@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize("arm", ["real", "both"])
def test_nothing_of_the_fold_held_out_is_learned_from(arm: str, fold: int) -> None:
    found = files(run_of(arm, fold))
    assert not any(name.startswith((f"fold{fold}_", f"drive{fold}_")) for name in found)
    for other in {0, 1, 2} - {fold}:
        assert {f"fold{other}_0001", f"fold{other}_0002"} <= set(found)
        assert found.count(f"drive{other}_07") == 2


def test_composed_pictures_are_in_their_arms_alone() -> None:
    assert files("composed") == [path.stem for path in COMPOSED]
    assert sum(name.startswith("composed") for name in files("real_1")) == 0
    assert sum(name.startswith("composed") for name in files("both_1")) == 4
    assert len([name for name in files("both_all") if name.startswith("fold")]) == 6


def test_one_run_of_composed_pictures_is_measured_on_every_fold() -> None:
    assert {run_of("composed", k) for k in range(3)} == {"composed"}  # it saw no real stall


@pytest.mark.parametrize("name", ["composed_1", "both_3", "both", "real_", "synthetic_0"])
def test_what_is_no_run_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no run"):
        arm_and_fold(name)


def test_the_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    assert cosine(1, 400, 20) == pytest.approx(1 / 20, rel=0.01)
    assert cosine(200, 400, 20) == pytest.approx(0.51)
    assert cosine(400, 400, 20) == pytest.approx(0.02)
    rates = [cosine(step, 400, 20) for step in range(20, 401)]
    assert rates == sorted(rates, reverse=True)


def test_what_is_told_lies_in_the_picture_s_own_pixels() -> None:
    xywh = np.array([[320, 192, 80, 96], [64, 192, 64, 64]], np.float32)
    told = row(xywh, np.array([0.2, 0.9], np.float32), WHOLE, (640, 480), [(0.25, 0.5, 0.5, 0.75)])
    assert told["score"] == pytest.approx([0.9, 0.2])
    assert told["xyxy"] == [[0, 200, 40, 280], [270, 180, 370, 300]]  # best first, cut at the edge
    assert told["truth"] == [[160, 240, 320, 360]]


def test_a_picture_without_boxes_in_which_nothing_is_told() -> None:
    told = row(np.zeros((3, 4), np.float32), np.zeros(3, np.float32), WHOLE, (640, 480), [])
    assert told == {"truth": [], "xyxy": [], "score": []}
    assert len(seen(told | {"group": "g"}).score) == 0


def test_a_copy_of_what_is_measured_on_is_not_composed_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (320, 240)) for _ in range(3)]
    for name, picture in zip("abc", pictures, strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), picture)
    smaller = cv2.resize(pictures[1], (200, 150))
    cv2.imwrite(str(tmp_path / "held.jpg"), smaller, [cv2.IMWRITE_JPEG_QUALITY, 40])
    streets = [tmp_path / f"{name}.jpg" for name in "abc"]
    assert unlike(streets, [tmp_path / "held.jpg"]) == [streets[0], streets[2]]
    assert unlike(streets, []) == streets
