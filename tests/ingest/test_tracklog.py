"""GPX and NMEA files: good points are kept, bad ones are told one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest

from ingest.tracklog import read_gpx, read_nmea, read_track

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
GOOD = [(s, round(22.54 + s * 1e-4, 6), 114.05) for s in range(6)]
Gpx = Callable[..., Path]


def test_a_gpx_track_is_read_in_utc(gpx: Gpx) -> None:
    track, rejected = read_gpx(gpx(GOOD))
    assert rejected == []
    assert [(f.time, f.lat, f.lon) for f in track.fixes] == [(START + timedelta(seconds=s), a, o) for s, a, o in GOOD]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((2.5, "nan", 114.05), "latitude is not a number"),
        ((2.5, 22.54, "inf"), "longitude is not a number"),
        ((2.5, 95, 114.05), "latitude 95 is outside"),
        ((2.5, 22.54, 181), "longitude 181 is outside"),
        ((2.5, 0, 0), r"\(0, 0\)"),
        ((2, 22.5402, 114.05), "time is that of another point"),
        ((0.5, 22.54, 114.05), "time goes backward"),
        ((2.5, 23.54, 114.05), "a jump no vehicle makes"),
        ((2.5, 22.5402, 114.0549), "a jump no vehicle makes"),  # 500 m beside
        ((2.5, 22.3, 114.5), "a jump no vehicle makes"),  # at sea
        ((10**9, 22.54, 114.05), "a jump no vehicle makes"),  # a clock gone wrong does not push out the rest
        ((-(10**9), 22.54, 114.05), "before the year 2000|goes backward"),
    ],
)
def test_a_bad_point_is_rejected_and_the_others_are_kept(
    gpx: Gpx, bad: tuple[float, object, object], reason: str
) -> None:
    track, rejected = read_gpx(gpx([*GOOD[:3], bad, *GOOD[3:]]))
    assert len(track) == len(GOOD)
    (item,) = rejected
    assert item.file == "drive.gpx"
    assert item.reason.startswith("point 4: ")
    assert re.search(reason, item.reason)


def written(path: Path, points: str, version: str = "1.1") -> Path:
    path.write_text(
        f'<gpx version="{version}" creator="t" xmlns="http://www.topografix.com/GPX/{version.replace(".", "/")}" '
        f'xmlns:x="http://www.garmin.com/xmlschemas/TrackPointExtension/v2"><trk><trkseg>{points}</trkseg></trk></gpx>'
    )
    return path


def test_speed_and_course_come_from_gpx_1_0_and_from_extensions(tmp_path: Path) -> None:
    point = '<trkpt lat="22.54" lon="114.05">{}</trkpt>'
    old = point.format("<time>2026-11-20T08:00:00Z</time><course>91.5</course><speed>4.5</speed>")
    extension = "<x:TrackPointExtension><x:speed>4.5</x:speed><x:course>91.5</x:course></x:TrackPointExtension>"
    new = point.format(f"<time>2026-11-20T08:00:00Z</time><extensions>{extension}</extensions>")
    for text, version in ((old, "1.0"), (new, "1.1")):
        (fix,) = read_gpx(written(tmp_path / "a.gpx", text, version))[0].fixes
        assert (fix.speed_mps, fix.heading_deg) == (4.5, 91.5)


def test_the_course_of_a_standing_receiver_is_no_heading(tmp_path: Path) -> None:
    moved = "<course>200</course><speed>0.2</speed>"
    text = f'<trkpt lat="22.54" lon="114.05"><time>2026-11-20T08:00:00Z</time>{moved}</trkpt>'
    (fix,) = read_gpx(written(tmp_path / "a.gpx", text, "1.0"))[0].fixes
    assert (fix.speed_mps, fix.heading_deg) == (0.2, None)


def test_a_speed_that_is_no_number_spoils_its_own_point_only(tmp_path: Path) -> None:
    point = '<trkpt lat="22.54" lon="114.05"><time>2026-11-20T08:00:0{}Z</time><speed>{}</speed></trkpt>'
    track, rejected = read_gpx(written(tmp_path / "a.gpx", point.format(0, "4.5") + point.format(1, "nan"), "1.0"))
    assert len(track) == 1
    assert [item.reason for item in rejected] == ["point 2: speed nan m/s is outside 0 to 70"]


@pytest.mark.parametrize(
    ("time", "read"),
    [
        ("2026-11-20T16:00:00+08:00", START),
        ("2026-11-20T08:00:00", START),  # GPX times are UTC
        ("2026-11-20T08:00:00.250Z", START + timedelta(milliseconds=250)),
    ],
)
def test_times_are_utc_whatever_zone_they_name(tmp_path: Path, time: str, read: datetime) -> None:
    track, _ = read_gpx(written(tmp_path / "a.gpx", f'<trkpt lat="22.54" lon="114.05"><time>{time}</time></trkpt>'))
    assert track.start == read


def test_a_point_without_a_time_is_rejected(tmp_path: Path) -> None:
    good = '<trkpt lat="22.54" lon="114.05"><time>2026-11-20T08:00:00Z</time></trkpt>'
    bad = '<trkpt lat="22.54" lon="114.05"/><trkpt lat="22.54" lon="114.05"><time>yesterday</time></trkpt>'
    track, rejected = read_gpx(written(tmp_path / "a.gpx", good + bad))
    assert len(track) == 1
    assert [item.reason for item in rejected] == ["point 2: no readable time", "point 3: no readable time"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as GPX"),
        (b"<gpx><trk><trkseg>", "cannot be read as GPX"),
        (b"\xff\xfe\x00garbage", "cannot be read as GPX"),
        (b"<kml/>", "no usable track points"),
        (b'<gpx version="1.1" creator="t"/>', "no usable track points"),
    ],
)
def test_a_file_that_is_no_gpx_is_refused_by_name(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "drive.gpx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"drive.gpx.*{reason}"):
        read_gpx(path)


def sentence(body: str) -> str:
    return f"${body}*{reduce(lambda a, b: a ^ b, body.encode()):02X}"


def rmc(second: float, *, status: str = "A", lat: str = "2232.4060,N", lon: str = "11403.1920,E") -> str:
    return sentence(f"GNRMC,0800{second:05.2f},{status},{lat},{lon},10.0,091.0,201126,,,A")


def gga(second: float, hdop: str = "1.5") -> str:
    return sentence(f"GNGGA,0800{second:05.2f},2232.4060,N,11403.1920,E,1,08,{hdop},10.0,M,0.0,M,,")


def nmea(path: Path, *lines: str) -> Path:
    path.write_text("\r\n".join(lines) + "\r\n")
    return path


def test_an_nmea_log_gives_place_time_speed_heading_and_accuracy(tmp_path: Path) -> None:
    track, rejected = read_nmea(nmea(tmp_path / "a.nmea", rmc(0.2), gga(0.2), gga(1.2, "2.0"), rmc(1.2), rmc(2.2)))
    assert rejected == []
    first, second, third = track.fixes
    assert first.time == START + timedelta(seconds=0.2)
    assert (first.lat, first.lon) == pytest.approx((22.5401, 114.0532))  # 32.4060' and 3.1920'
    assert first.speed_mps == pytest.approx(5.14444, abs=1e-4)  # 10 knots
    assert first.heading_deg == 91.0
    assert (first.accuracy_m, second.accuracy_m, third.accuracy_m) == (4.5, 6.0, None)


def test_south_and_west_are_negative(tmp_path: Path) -> None:
    track, _ = read_nmea(nmea(tmp_path / "a.nmea", rmc(0, lat="2232.4060,S", lon="11403.1920,W")))
    assert (track.fixes[0].lat, track.fixes[0].lon) == pytest.approx((-22.5401, -114.0532))


def test_bad_lines_of_an_nmea_log_are_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    wrong = rmc(1)[:-2] + ("00" if rmc(1)[-2:] != "00" else "01")
    lines = [
        rmc(0, status="V"),
        rmc(0, status="V"),
        wrong,
        rmc(1)[:30],  # cut short: no checksum
        "noise \x07",
        sentence("GNGSV,1,1,00"),
        rmc(2),
        "[08:00:03] " + rmc(3),  # a logger's own prefix
        rmc(4, lat="9532.0000,N"),
        rmc(5, lat=",N"),
        rmc(3),
    ]
    track, rejected = read_nmea(nmea(tmp_path / "a.nmea", *lines))
    assert [fix.time.second for fix in track.fixes] == [2, 3]
    assert sorted(item.reason for item in rejected) == [
        "2 sentences are void: the receiver had no fix",
        "2 sentences have a wrong checksum or none",
        "line 10: no readable position",
        "line 11: its time is that of another point",
        "line 9: latitude 95.53333333 is outside ±90",
    ]


def test_a_log_without_fixes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.nmea has no usable track points: 1 sentences are void"):
        read_nmea(nmea(tmp_path / "a.nmea", rmc(0, status="V"), gga(0)))


def test_midnight_does_not_break_a_track(tmp_path: Path) -> None:
    late = sentence("GPRMC,235959.00,A,2232.4060,N,11403.1920,E,10.0,091.0,201126,,,A")
    early = sentence("GPRMC,000000.00,A,2232.4060,N,11403.1950,E,10.0,091.0,211126,,,A")
    track, rejected = read_nmea(nmea(tmp_path / "a.nmea", late, early))
    assert (track.end - track.start, rejected) == (timedelta(seconds=1), [])


def test_the_suffix_chooses_the_reader(gpx: Gpx, tmp_path: Path) -> None:
    assert len(read_track(gpx(GOOD, "A.GPX"))[0]) == 6
    assert len(read_track(nmea(tmp_path / "a.NMEA", rmc(0)))[0]) == 1
    with pytest.raises(ValueError, match="is no track"):
        read_track(tmp_path / "a.kml")
