"""Drive: a folder of pictures with frames.csv, a track or EXIF; every bad row and picture is told."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from ingest.drive import Drive, open_drive
from ingest.frame import Frame, frame_id
from ingest.geo import latlon_from_offset
from ingest.rejected import Rejected
from ingest.source import Source

NOW = datetime(2026, 11, 21, tzinfo=UTC)
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
HEADER = "file,time,lat,lon,speed_mps,heading_deg,accuracy_m,vehicle,camera"
Pictures = Callable[..., bytes]


def time(s: float) -> str:
    return (START + timedelta(seconds=s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place(east_m: float, north_m: float = 0.0) -> tuple[float, float]:
    return latlon_from_offset(22.54, 114.05, east_m, north_m)


def cells(file: str, s: float, east_m: float, **other: object) -> dict[str, object]:
    lat, lon = place(east_m)
    known = {"file": file, "time": time(s), "lat": f"{lat:.7f}", "lon": f"{lon:.7f}", "speed_mps": 5.2}
    return known | {"heading_deg": 91.0, "accuracy_m": 3.0, "vehicle": "bus-0417", "camera": "right"} | other


def line(row: dict[str, object]) -> str:
    return ",".join(str(row.get(column, "")) for column in HEADER.split(","))


class Folder:
    """A drive under construction."""

    def __init__(self, path: Path, jpeg: bytes) -> None:
        self.path, self.jpeg = path, jpeg
        path.mkdir()

    def picture(self, name: str, data: bytes | None = None) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_bytes(self.jpeg if data is None else data)

    def table(self, *rows: dict[str, object]) -> None:
        (self.path / "frames.csv").write_text("\n".join([HEADER, *map(line, rows)]) + "\n")

    def way(self, n: int, step_m: float = 5.0) -> list[dict[str, object]]:
        """n good rows with their pictures: 0000.jpg and on, a second apart, eastward."""
        for i in range(n):
            self.picture(f"{i:04}.jpg")
        return [cells(f"{i:04}.jpg", i, i * step_m) for i in range(n)]

    def open(self, every_m: float = 4.0, zone: timezone = UTC) -> Drive:
        return open_drive(self.path, now=NOW, zone=zone, every_m=every_m)


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Folder:
    return Folder(tmp_path / "drive", jpeg)


def files(source: Source) -> list[str]:
    return [row.file for row in source.rows]


def test_a_row_becomes_a_frame(folder: Folder) -> None:
    folder.picture("0001.jpg")
    (folder.path / "frames.csv").write_text(
        HEADER + "\n0001.jpg,2026-11-20T08:15:02.400Z,22.540100,114.053200,5.2,91.0,3.0,bus-0417,right\n"
    )
    drive = folder.open()
    (frame,) = drive.frames()
    assert isinstance(frame, Frame)
    at = datetime(2026, 11, 20, 8, 15, 2, 400_000, tzinfo=UTC)
    assert (frame.vehicle, frame.camera, frame.time, frame.file) == ("bus-0417", "right", at, "0001.jpg")
    assert (frame.fix.time, frame.fix.lat, frame.fix.lon) == (at, 22.5401, 114.0532)
    assert (frame.fix.speed_mps, frame.fix.heading_deg, frame.fix.accuracy_m) == (5.2, 91.0, 3.0)
    assert (frame.jpeg, frame.size_wh) == (folder.jpeg, (64, 48))
    assert frame.id == frame_id("bus-0417", "right", at)
    assert (len(drive), drive.rejected, drive.repeats, drive.left_out, drive.unlisted) == (1, (), 0, 0, 0)


def test_rows_in_any_order_of_several_vehicles_and_cameras_come_in_order_of_time(folder: Folder) -> None:
    for name in "abcdef":
        folder.picture(f"{name}.jpg")
    folder.table(
        cells("f.jpg", 20, 100),
        cells("c.jpg", 10, 50, vehicle="bus-1", camera="left"),
        cells("d.jpg", 10, 50, vehicle="bus-1", camera="right"),
        cells("a.jpg", 0, 0),
        cells("e.jpg", 10, 9000, vehicle="bus-2"),
        cells("b.jpg", 5, 25),
    )
    drive = folder.open()
    assert files(drive) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]
    assert [frame.file for frame in drive.frames()] == files(drive)
    assert drive.rejected == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_only_four_columns_are_needed_and_empty_is_unknown(folder: Folder, encoding: str, newline: str) -> None:
    folder.picture("街 1.jpg")
    folder.picture("2.jpg")
    rows = [
        "LON, time ,lat,file,weather,camera",
        f"114.05,{time(0)},22.54,街 1.jpg,雨,",
        f'114.0503,{time(9)},22.54,"2.jpg"',
    ]
    (folder.path / "frames.csv").write_bytes(newline.join([*rows, "", ""]).encode(encoding))
    drive = folder.open()
    assert drive.rejected == ()
    first = drive.rows[0]
    assert (first.file, first.row, first.vehicle, first.camera) == ("街 1.jpg", 2, "vehicle-1", "front")
    assert (first.fix.speed_mps, first.fix.accuracy_m) == (None, None)
    assert len(list(drive.frames())) == 2


BAD_CELLS: list[tuple[dict[str, object], str]] = [
    ({"file": "none.jpg"}, "the picture is missing"),
    ({"file": ""}, "file name is empty"),
    ({"file": "../outside.jpg"}, "leaves the drive's folder"),
    ({"file": "sub/../../outside.jpg"}, "leaves the drive's folder"),
    ({"file": "/etc/hostname"}, "leaves the drive's folder"),
    ({"file": "."}, "leaves the drive's folder"),
    ({"file": "sub"}, "the picture is missing"),
    ({"file": "x" * 300 + ".jpg"}, "name too long"),
    ({"file": "a\x00.jpg"}, "zero byte"),
    ({"lat": "nan"}, "latitude is not a number"),
    ({"lat": "NaN"}, "latitude is not a number"),
    ({"lat": "inf"}, "latitude is not a number"),
    ({"lat": "22,54"}, "fields"),
    ({"lat": "north"}, "latitude is not a number"),
    ({"lat": "2_2.5"}, "latitude is not a number"),
    ({"lat": 95}, "latitude 95 is outside ±90"),
    ({"lat": -90.1}, "latitude -90.1 is outside ±90"),
    ({"lon": 180.5}, "longitude 180.5 is outside ±180"),
    ({"lon": "x"}, "longitude is not a number"),
    ({"lat": 0, "lon": 0.0}, "(0, 0)"),
    ({"lat": ""}, "the position is missing"),
    ({"lon": ""}, "the position is missing"),
    ({"time": ""}, "the time is missing"),
    ({"time": "yesterday"}, "the time cannot be read"),
    ({"time": "2026-11-20T08:15:02"}, "no time zone"),
    ({"time": "2026-11-20"}, "no time zone"),
    ({"time": "2026-13-20T08:15:02Z"}, "the time cannot be read"),
    ({"time": "0001-01-01T00:00:00+14:00"}, "the time cannot be read"),
    ({"time": "2026-11-21T00:01:01Z"}, "in the future"),
    ({"time": "2126-11-20T08:15:02Z"}, "in the future"),
    ({"time": "1999-12-31T23:59:59Z"}, "before the year 2000"),
    ({"speed_mps": -1}, "speed -1 m/s"),
    ({"speed_mps": 71}, "speed 71 m/s"),
    ({"speed_mps": "nan"}, "speed is not a number"),
    ({"heading_deg": -1}, "heading -1"),
    ({"heading_deg": 361}, "heading 361"),
    ({"heading_deg": "east"}, "heading is not a number"),
    ({"accuracy_m": 0}, "accuracy 0 m"),
    ({"accuracy_m": -3}, "accuracy -3 m"),
    ({"accuracy_m": 201}, "accuracy 201 m"),
    ({"camera": 'a"b'}, ""),
    ({"vehicle": '"unclosed'}, "no CSV"),
    ({"camera": "right,and,more"}, "the row has 11 fields, the header 9"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_CELLS, ids=[f"{row}"[:60] for row, _ in BAD_CELLS])
def test_a_bad_row_is_rejected_with_its_line_and_reason_and_the_others_are_kept(
    folder: Folder, bad: dict[str, object], reason: str
) -> None:
    rows = folder.way(4)
    (folder.path.parent / "outside.jpg").write_bytes(folder.jpeg)
    (folder.path / "sub").mkdir()
    folder.table(*rows[:2], rows[2] | bad, rows[3])
    drive = folder.open()
    if not reason:  # a quote within a cell is only a character
        assert drive.rejected == ()
        return
    (item,) = drive.rejected
    assert item.row == 4
    assert reason in item.reason
    assert files(drive) == ["0000.jpg", "0001.jpg", "0003.jpg"]


def bomb(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", 40_000, 40_000) + jpeg[at + 4 :]


BAD_PICTURES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "zero bytes"),
    (lambda jpeg: jpeg[: len(jpeg) // 2], "truncated"),
    (lambda jpeg: jpeg[:50], "cut short"),
    (lambda _: b"\x00" * 500, "not a JPEG"),
    (bomb, "40000×40000 pixels"),
    (lambda _: cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "a PNG file named .jpg"),
    (lambda _: cv2.imencode(".webp", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "a WebP file named .jpg"),
    (lambda jpeg: jpeg + b"\x00" * (33 * 1024 * 1024), "more than the 33554432 allowed"),
]


@pytest.mark.parametrize(("spoilt", "reason"), BAD_PICTURES, ids=[reason for _, reason in BAD_PICTURES])
@pytest.mark.parametrize("with_table", [True, False])
def test_a_bad_picture_is_rejected_with_or_without_a_table(
    folder: Folder, gps_jpeg: Pictures, spoilt: Callable[[bytes], bytes], reason: str, with_table: bool
) -> None:
    rows = folder.way(3)
    for i in range(3):
        folder.picture(f"{i:04}.jpg", gps_jpeg(START + timedelta(seconds=i), place(i * 5)))
    folder.picture("0001.jpg", spoilt(folder.jpeg))
    if with_table:
        folder.table(*rows)
    drive = folder.open()
    (item,) = drive.rejected
    assert (item.file, item.row) == ("0001.jpg", 3 if with_table else None)
    assert reason in item.reason
    assert files(drive) == ["0000.jpg", "0002.jpg"]


def test_a_bad_row_between_close_ones_is_rejected_though_sampling_would_have_left_it_out(folder: Folder) -> None:
    rows = folder.way(9, step_m=0.5)
    rows[4]["lat"] = "nan"
    folder.picture("0005.jpg", b"")
    folder.table(*rows)
    drive = folder.open()
    assert [item.file for item in drive.rejected] == ["0004.jpg", "0005.jpg"]
    assert files(drive) == ["0000.jpg", "0008.jpg"]
    assert drive.left_out == 5


def test_repeats_are_counted_and_the_first_valid_row_stays(folder: Folder) -> None:
    rows = folder.way(3)
    folder.picture("copy.jpg")
    again = rows[1] | {"file": "copy.jpg"}
    folder.table(*rows, again, rows[1])
    drive = folder.open()
    assert (files(drive), drive.repeats, drive.rejected) == (["0000.jpg", "0001.jpg", "0002.jpg"], 2, ())


def test_a_bad_row_that_repeats_an_id_is_rejected_and_not_counted_as_a_repeat(folder: Folder) -> None:
    rows = folder.way(3)
    folder.table(rows[1] | {"file": "none.jpg"}, *rows, rows[1] | {"lat": "nan"}, rows[1] | {"accuracy_m": -1})
    drive = folder.open()
    assert [item.row for item in drive.rejected] == [2, 6, 7]
    assert (files(drive), drive.repeats) == (["0000.jpg", "0001.jpg", "0002.jpg"], 0)


def test_times_that_differ_below_a_millisecond_are_one_id(folder: Folder) -> None:
    rows = folder.way(1)
    folder.table(rows[0] | {"time": "2026-11-20T08:00:00.1231Z"}, rows[0] | {"time": "2026-11-20T08:00:00.1239Z"})
    assert (len(folder.open()), folder.open().repeats) == (1, 1)


@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_jump_is_blamed_on_the_outlier(folder: Folder, at: int) -> None:
    rows = folder.way(6)
    rows[at]["lat"] = 23.54
    folder.table(*rows)
    drive = folder.open()
    (item,) = drive.rejected
    assert (item.file, item.row) == (f"{at:04}.jpg", at + 2)
    assert "no vehicle jumps so far" in item.reason


def test_an_outlier_repeated_many_times_does_not_outweigh_the_way(folder: Folder) -> None:
    rows = folder.way(4)
    folder.table(*rows, *[rows[2] | {"lat": 23.54}] * 9)
    drive = folder.open()
    assert len(drive) == 4
    assert [item.row for item in drive.rejected] == list(range(6, 15))


def test_two_vehicles_far_apart_are_no_jump(folder: Folder) -> None:
    rows = folder.way(4)
    rows[1] |= {"vehicle": "bus-2", "lat": 23.54}
    rows[3] |= {"vehicle": "bus-2", "lat": 23.54}
    folder.table(*rows)
    assert (len(folder.open()), folder.open().rejected) == (4, ())


def test_the_same_vehicle_elsewhere_the_next_day_is_no_jump(folder: Folder) -> None:
    rows = folder.way(4)
    for row, days in zip(rows[2:], (-1, -2), strict=True):
        row |= {"lat": 23.54 + days, "time": time(86400 * days)}
    folder.table(*rows)
    assert (len(folder.open()), folder.open().rejected) == (4, ())


def test_missing_headings_come_from_the_vehicles_own_way(folder: Folder) -> None:
    rows = [row | {"heading_deg": "", "speed_mps": ""} for row in folder.way(6)]
    for i, row in enumerate(rows):
        row["camera"] = "left" if i % 2 else "right"  # two cameras, one way
    rows[3]["heading_deg"] = 45.0
    folder.table(*rows)
    headings = [row.fix.heading_deg for row in folder.open(every_m=0).rows]
    assert headings[3] == 45.0
    assert [headings[i] for i in (0, 1, 2, 4, 5)] == pytest.approx([90] * 5, abs=0.1)


def test_headings_of_rows_too_far_apart_or_of_a_vehicle_that_never_moved_are_unknown(folder: Folder) -> None:
    rows = [row | {"heading_deg": ""} for row in folder.way(5)]
    rows[0] |= {"vehicle": "a", "time": time(0)}
    rows[1] |= {"vehicle": "a", "time": time(11)}
    for i in (2, 3, 4):
        rows[i] |= {"vehicle": "b", "lat": 22.54, "lon": 114.05}
    folder.table(*rows)
    assert [row.fix.heading_deg for row in folder.open(every_m=0).rows] == [None] * 5


def test_a_heading_of_360_is_north(folder: Folder) -> None:
    rows = folder.way(1)
    folder.table(rows[0] | {"heading_deg": 360})
    assert folder.open().rows[0].fix.heading_deg == 0.0


def test_sampling_is_by_camera_and_counts_what_it_leaves_out(folder: Folder) -> None:
    rows = folder.way(12, step_m=1.0)
    for i, row in enumerate(rows):
        row["camera"] = "left" if i % 2 else "right"
    folder.table(*rows)
    drive = folder.open()
    assert files(drive) == ["0000.jpg", "0001.jpg", "0004.jpg", "0005.jpg", "0008.jpg", "0009.jpg"]
    assert drive.left_out == 6
    assert (len(folder.open(every_m=0)), folder.open(every_m=0).left_out) == (12, 0)


def test_pictures_that_no_row_names_are_counted_and_bad_rows_do_name_theirs(folder: Folder) -> None:
    rows = folder.way(4)
    folder.picture("sub/a.jpg")
    folder.picture("sub/b.JPEG")
    folder.table(rows[0], rows[1] | {"lat": "nan"}, rows[2] | {"file": "./0002.jpg"}, rows[3] | {"file": "sub/a.jpg"})
    drive = folder.open()
    assert drive.unlisted == 2  # 0003.jpg and sub/b.JPEG
    assert len(drive) == 3


def test_a_picture_gone_or_spoilt_since_is_rejected_in_its_turn(folder: Folder) -> None:
    folder.table(*folder.way(4))
    drive = folder.open()
    (folder.path / "0001.jpg").unlink()
    folder.picture("0002.jpg", b"spoilt")
    found = list(drive.frames())
    assert [item.file for item in found] == ["0000.jpg", "0001.jpg", "0002.jpg", "0003.jpg"]
    assert found[1] == Rejected("the picture is missing", file="0001.jpg", row=3)
    assert isinstance(found[2], Rejected)
    assert [isinstance(item, Frame) for item in found] == [True, False, False, True]


def test_a_folder_named_like_a_picture_is_rejected(folder: Folder) -> None:
    folder.table(*folder.way(2))
    (folder.path / "0001.jpg").unlink()
    (folder.path / "0001.jpg").mkdir()
    (rejected,) = folder.open().rejected
    assert rejected.file == "0001.jpg"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read_is_rejected(folder: Folder) -> None:
    folder.table(*folder.way(2))
    (folder.path / "0001.jpg").chmod(0)
    assert "Permission denied" in folder.open().rejected[0].reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "frames.csv is empty"),
        ("\n\n", "frames.csv is empty"),
        (HEADER + "\n", "has a header but no rows"),
        ("file,time,lat\na.jpg,1,2\n", "lacks the column lon"),
        ("file;time;lat;lon\n", "lacks the column file, time, lat, lon"),
        ("file,time,lat,lon,lat\na,b,c,d,e\n", "names the column lat twice"),
    ],
)
def test_a_table_that_cannot_serve_is_an_error_of_the_whole_drive(folder: Folder, content: str, reason: str) -> None:
    folder.picture("a.jpg")
    (folder.path / "frames.csv").write_text(content)
    with pytest.raises(ValueError, match=reason):
        folder.open()


def test_a_row_in_another_encoding_is_rejected_alone(folder: Folder) -> None:
    rows = [line(row) for row in folder.way(3)]
    rows[1] = rows[1].replace("bus-0417", "公交")
    (folder.path / "frames.csv").write_bytes("\n".join([HEADER, *rows]).encode("gbk"))
    drive = folder.open()
    assert [(item.row, item.reason) for item in drive.rejected] == [(3, "the row is not UTF-8")]
    assert len(drive) == 2


def test_a_drive_whose_every_row_is_bad_is_read_to_its_end(folder: Folder) -> None:
    folder.table(cells("none.jpg", 0, 0), cells("no.jpg", 1, 5))
    drive = folder.open()
    assert (len(drive), len(drive.rejected), list(drive.frames())) == (0, 2, [])


def test_a_folder_that_is_no_drive_says_so(tmp_path: Path, folder: Folder) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        open_drive(tmp_path / "none", now=NOW, zone=UTC)
    with pytest.raises(ValueError, match="is empty"):
        folder.open()
    (folder.path / "readme.txt").write_text("x")
    with pytest.raises(ValueError, match="has no pictures"):
        folder.open()
    with pytest.raises(NotADirectoryError, match="a drive is a folder"):
        open_drive(folder.path / "readme.txt", now=NOW, zone=UTC)


def test_without_a_table_exif_places_pictures_of_any_suffix(folder: Folder, gps_jpeg: Pictures) -> None:
    for i, name in enumerate(["b.jpg", "a.JPG", "c.Jpeg"]):
        folder.picture(name, gps_jpeg(START + timedelta(seconds=i), place(5.0 * i)))
    drive = folder.open()
    assert (files(drive), drive.rejected, drive.unlisted) == (["b.jpg", "a.JPG", "c.Jpeg"], (), 0)
    assert [row.time for row in drive.rows] == [START + timedelta(seconds=i) for i in range(3)]
    assert (drive.rows[1].fix.lat, drive.rows[1].fix.lon) == pytest.approx(place(5), abs=1e-6)
    assert {(row.vehicle, row.camera) for row in drive.rows} == {("vehicle-1", "front")}
    assert drive.rows[1].fix.heading_deg == pytest.approx(90, abs=0.5)


def test_a_picture_without_position_or_time_is_rejected(
    folder: Folder, gps_jpeg: Pictures, exif_jpeg: Pictures
) -> None:
    folder.picture("a.jpg", gps_jpeg(START, place(0)))
    folder.picture("b.jpg", gps_jpeg(START, None))
    folder.picture("c.jpg")
    folder.picture("d.jpg", gps_jpeg(NOW + timedelta(hours=1), place(0)))
    folder.picture("e.jpg", gps_jpeg(START, (95.0, 114.05)))
    folder.picture("f.jpg", gps_jpeg(START, (0.0, 0.0)))
    drive = folder.open()
    reasons = {item.file: item.reason for item in drive.rejected}
    assert files(drive) == ["a.jpg"]
    assert "no position in its EXIF" in reasons["b.jpg"]
    assert "no time in its EXIF" in reasons["c.jpg"]
    assert "in the future" in reasons["d.jpg"]
    assert "latitude 95 is outside" in reasons["e.jpg"]
    assert "(0, 0)" in reasons["f.jpg"]


def test_a_table_of_times_alone_leaves_the_places_to_exif(
    folder: Folder, gps_jpeg: Pictures, exif_jpeg: Pictures
) -> None:
    for i in range(4):
        folder.picture(f"{i}.jpg", gps_jpeg(START - timedelta(days=400 + i), place(5.0 * i)))
    folder.picture("none.jpg")
    lines = [f"{i}.jpg,{time(2 * i)},,right" for i in range(4)]
    lines[2] = f"2.jpg,{time(4)},45,right"
    (folder.path / "frames.csv").write_text(
        "\n".join(["file,time,heading_deg,camera", *lines, f"none.jpg,{time(9)},,", "0.jpg,2126-01-01T00:00:00Z,,"])
    )
    drive = folder.open()
    assert files(drive) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert [row.time for row in drive.rows] == [START + timedelta(seconds=2 * i) for i in range(4)]
    assert (drive.rows[1].fix.lat, drive.rows[1].fix.lon) == pytest.approx(place(5), abs=1e-6)
    assert drive.rows[2].fix.heading_deg == 45.0
    assert drive.rows[0].fix.heading_deg == pytest.approx(90, abs=0.5)
    assert {row.camera for row in drive.rows} == {"right"}
    assert [(item.row, item.reason) for item in drive.rejected] == [
        (6, "the picture has no position in its EXIF, and the folder has no GPX or NMEA file"),
        (7, "time 2126-01-01T00:00:00.000Z is in the future: it is 2026-11-21T00:00:00.000Z now"),
    ]


def test_a_table_of_times_alone_leaves_the_places_to_the_track(folder: Folder, gpx: Callable[..., Path]) -> None:
    gpx([(s, *place(5.0 * s)) for s in range(11)], folder=folder.path)
    for s in (2, 4, 60):
        folder.picture(f"{s}.jpg")
    (folder.path / "frames.csv").write_text("\n".join(["file,time", *(f"{s}.jpg,{time(s + 0.5)}" for s in (2, 4, 60))]))
    drive = folder.open()
    assert [(row.fix.lat, row.fix.lon) for row in drive.rows] == [
        pytest.approx(place(5 * (s + 0.5)), abs=1e-7) for s in (2, 4)
    ]
    (item,) = drive.rejected
    assert (item.file, item.row) == ("60.jpg", 4)
    assert "the track ends" in item.reason


def test_a_row_at_sea_among_rows_on_the_street_is_a_jump(folder: Folder) -> None:
    rows = folder.way(6)
    rows[2] |= {"lat": 22.3, "lon": 114.5}  # Mirs Bay
    rows[3] |= {"lat": 0.0, "lon": 0.0}
    folder.table(*rows)
    drive = folder.open()
    assert [item.row for item in drive.rejected] == [4, 5]
    assert "no vehicle jumps so far" in drive.rejected[0].reason
    assert "(0, 0)" in drive.rejected[1].reason


def test_an_unknown_heading_of_a_standing_vehicle_is_the_one_it_came_with(folder: Folder) -> None:
    rows = [row | {"heading_deg": ""} for row in folder.way(12)]
    for i in (8, 9, 10, 11):
        rows[i] |= {"lat": rows[7]["lat"], "lon": rows[7]["lon"], "speed_mps": 0.0}
    folder.table(*rows)
    headings = [row.fix.heading_deg for row in folder.open(every_m=0).rows]
    assert headings == pytest.approx([90] * 12, abs=1)


def test_the_one_track_places_pictures_by_their_time(
    folder: Folder, exif_jpeg: Pictures, gpx: Callable[..., Path]
) -> None:
    gpx([(s, *place(5.0 * s)) for s in range(11)], folder=folder.path)
    for s in (2, 4, 6):  # the camera's clock is that of Shenzhen
        folder.picture(f"{s}.jpg", exif_jpeg({}, {0x9003: f"2026:11:20 16:00:0{s}", 0x9291: "500"}))
    drive = folder.open(zone=timezone(timedelta(hours=8)))
    assert drive.rejected == ()
    assert [row.time for row in drive.rows] == [START + timedelta(seconds=s + 0.5) for s in (2, 4, 6)]
    for row, s in zip(drive.rows, (2, 4, 6), strict=True):
        assert (row.fix.lat, row.fix.lon) == pytest.approx(place(5 * (s + 0.5)), abs=1e-7)
        assert row.fix.heading_deg == pytest.approx(90, abs=0.1)


def test_a_track_that_ends_before_the_pictures_do_rejects_the_rest(
    folder: Folder, gps_jpeg: Pictures, gpx: Callable[..., Path]
) -> None:
    gpx([(s, *place(5.0 * s)) for s in range(6)], folder=folder.path)
    for s in (0, 3, 5, 9, 17):
        folder.picture(f"{s:02}.jpg", gps_jpeg(START + timedelta(seconds=s)))
    drive = folder.open()
    assert files(drive) == ["00.jpg", "03.jpg", "05.jpg"]
    assert [(item.file, item.reason) for item in drive.rejected] == [
        ("09.jpg", "the track ends 4.0 s before the picture"),
        ("17.jpg", "the track ends 12.0 s before the picture"),
    ]


def test_a_broken_track_is_told_and_exif_is_used(folder: Folder, gps_jpeg: Pictures) -> None:
    (folder.path / "bad.gpx").write_text("<gpx>")
    folder.picture("a.jpg", gps_jpeg(START, place(0)))
    folder.picture("b.jpg", gps_jpeg(START, None))
    drive = folder.open()
    assert files(drive) == ["a.jpg"]
    assert [item.file for item in drive.rejected] == ["b.jpg", "bad.gpx"]
    assert "the track is of no use" in drive.rejected[0].reason


def test_of_two_tracks_none_is_guessed(folder: Folder, gps_jpeg: Pictures, gpx: Callable[..., Path]) -> None:
    for name in ("one.gpx", "two.gpx"):
        gpx([(s, *place(5.0 * s)) for s in range(6)], name, folder.path)
    folder.picture("a.jpg", gps_jpeg(START, None))
    (item,) = folder.open().rejected
    assert "2 track files (one.gpx, two.gpx) none can be chosen" in item.reason


def test_a_file_name_in_another_encoding_is_rejected_in_words_that_can_be_written(
    folder: Folder, gps_jpeg: Pictures
) -> None:
    folder.picture("a.jpg", gps_jpeg(START, place(0)))
    with open(os.fsencode(folder.path) + "/街.jpg".encode("gbk"), "wb") as out:
        out.write(folder.jpeg)
    (item,) = folder.open().rejected
    assert "not UTF-8" in item.reason
    assert item.file is not None
    item.file.encode("utf-8")
