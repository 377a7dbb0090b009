"""Fields go into a cameras.toml, and what a person wrote stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from vision.camera import DEFAULT_CAMERAS, read_cameras
from vision.cameras_file import edited, write_fields

FRONT = DEFAULT_CAMERAS["front"]
FOUND = {"pitch_deg": -4.25, "pitch_sigma_deg": 0.17}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[front]\npitch_deg = -2.0  # guess\n", "[front]\npitch_deg = -4.25  # guess\npitch_sigma_deg = 0.17\n"),
        (
            "[front]\nyaw_deg = 0\n\n# the side\n[right]\npitch_deg = 1\n",
            "[front]\nyaw_deg = 0\npitch_deg = -4.25\npitch_sigma_deg = 0.17\n\n# the side\n[right]\npitch_deg = 1\n",
        ),
        ('["front"]\n', '["front"]\npitch_deg = -4.25\npitch_sigma_deg = 0.17\n'),
    ],
)
def test_fields_are_set_in_their_table(before: str, after: str) -> None:
    assert edited(before, "front", FOUND, FRONT) == after


def test_a_camera_without_a_table_gets_one_that_says_all(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    write_fields(path, 'rear "left"', FOUND, FRONT)
    cameras = read_cameras(path)
    assert cameras['rear "left"'].pitch_deg == -4.25
    assert cameras['rear "left"'].height_m == FRONT.height_m
    write_fields(path, "front", {"yaw_deg": 1.5}, FRONT)
    assert read_cameras(path)["front"].yaw_deg == 1.5
    assert tomllib.loads(path.read_text())['rear "left"']["pitch_sigma_deg"] == 0.17
    assert [file.name for file in tmp_path.iterdir()] == ["cameras.toml"]


@pytest.mark.parametrize(
    "text", ["front = {pitch_deg = -2.0}\n", "front.pitch_deg = -2.0\n", '[front]\n"pitch_deg" = -2.0\n']
)
def test_a_file_that_is_written_otherwise_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"put in by hand, for front: pitch_deg = -4\.25"):
        write_fields(path, "front", FOUND, FRONT)
    assert path.read_text() == text


def test_an_angle_out_of_range_is_not_put_in_place(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text("[front]\n")
    with pytest.raises(ValueError, match="pitch_deg"):
        write_fields(path, "front", {"pitch_deg": 70.0}, FRONT)
    assert path.read_text() == "[front]\n"
    assert [file.name for file in tmp_path.iterdir()] == ["cameras.toml"]
