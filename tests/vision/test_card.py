"""A model's card, and what happens when its file is not the one that was released."""

import shutil
from pathlib import Path

import pytest
from scipy.special import expit, logit

from models.card import (
    MODELS,
    Card,
    Measured,
    ModelUnusable,
    find_card,
    load_weights,
    read_card,
    restamp,
    shipped_models,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the released model that may be damaged."""
    return Path(shutil.copytree(MODELS / "streetscape-v1", tmp_path / "streetscape-v1"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf8")


def test_every_shipped_model_is_whole_and_says_where_it_comes_from() -> None:
    cards = shipped_models()
    assert "streetscape-v1" in [card.name for card in cards]
    for card in cards:
        for precision, weights in card.weights.items():
            assert len(load_weights(card, precision)) == weights.size_bytes <= 12_000_000
        assert "AGPL-3.0" in card.licence
        assert "CC BY 4.0" in card.data
        assert card.recipe
        assert card.intended_use
        assert card.limits
        assert {"val", "test"} <= set(card.metrics)
        assert set(card.recall) == set(card.classes)
        assert all(0.0 < value < 1.0 for value in (*card.recall.values(), *card.thresholds))


def test_a_version_names_the_model_and_the_very_file() -> None:
    card = find_card("streetscape-v1")
    name, _, digest = card.version.partition("@sha256:")
    assert (name, digest) == ("streetscape-v1", card.weights["fp32"].sha256)


def test_calibration_is_a_line_on_the_logit(folder: Path) -> None:
    known = {"garbage": Measured(0.3, 1.2, -0.4, 0.8), "garbage_bin": Measured(0.3, 1.0, 0.0, 0.8)}
    card = read_card(folder, unmeasured=True)
    card = Card(**{n: getattr(card, n) for n in Card.__dataclass_fields__ if n != "measured"}, measured=known)
    for score in (0.05, 0.5, 0.93):
        assert card.calibrated("garbage", score) == pytest.approx(expit(1.2 * logit(score) - 0.4))
        assert card.calibrated("garbage_bin", score) == pytest.approx(score)
    assert 0.0 < card.calibrated("garbage", 0.0) < 1e-6
    assert 1.0 - 1e-6 < card.calibrated("garbage", 1.0) < 1.0


def test_a_surer_score_is_never_worth_less() -> None:
    card = find_card("streetscape-v1")
    for kind in card.classes:
        worth = [card.calibrated(kind, step / 100) for step in range(101)]
        assert worth == sorted(worth)


def test_a_missing_file_is_named_and_the_remedy_told(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelUnusable, match=r"model\.onnx cannot be read .*put the released file back"):
        load_weights(read_card(folder))


def test_a_file_cut_short_is_told_from_an_altered_one(folder: Path) -> None:
    path = folder / "model.onnx"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelUnusable, match=f"model.onnx is cut short, {len(data) // 2:,} of {len(data):,} bytes"):
        load_weights(read_card(folder))
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ModelUnusable, match=r"model\.onnx is not the one released: sha256"):
        load_weights(read_card(folder))


def test_numbers_measured_on_another_file_are_not_believed(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"a better model")
    assert restamp(folder)
    assert not restamp(folder)
    with pytest.raises(ModelUnusable, match=r"measured on another model file .*python -m vision\.calibrate"):
        read_card(folder)
    assert load_weights(read_card(folder, unmeasured=True)) == b"a better model"


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("card.toml", 'file = "model.onnx"', "", r"card\.toml lacks or garbles 'file'"),
        ("card.toml", "shape_hw = [384, 640]", "shape_hw = 384", r"card\.toml lacks or garbles"),
        ("card.toml", "task = ", "task ", r"card\.toml is no TOML"),
        ("measured.toml", "[class.garbage]", "[class.rubbish]", "says nothing of garbage: run"),
    ],
)
def test_a_damaged_card_is_named(folder: Path, file: str, old: str, new: str, reason: str) -> None:
    edit(folder / file, old, new)
    with pytest.raises(ModelUnusable, match=reason):
        read_card(folder)


def test_an_unknown_model_lists_those_there_are() -> None:
    with pytest.raises(ModelUnusable, match=r"no model 'yolo'.*streetscape-v1"):
        find_card("yolo")


def test_a_folder_without_models_ships_none(tmp_path: Path) -> None:
    assert shipped_models(root=tmp_path) == []
