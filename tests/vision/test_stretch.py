"""Frames of one pass become one sighting a thing, and the pass says what it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import h3
import numpy as np
import pytest

from ingest.frame import Fix, Frame, frame_id
from ingest.geo import distance_m, latlon_from_offset, offset_from_latlon
from ingest.rejected import Rejected
from models.taxonomy import Taxonomy
from vision.camera import Camera, picture_from_road, road_from_ground
from vision.reel import Output
from vision.sighting import Evidence, Pass, Sighting, parse_pass, parse_sighting
from vision.stretch import Found
from vision.worker import Worker

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOME = (22.54, 114.06)
SIZE = (1280, 720)
CAMERA = Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-3.0, yaw_deg=0.0)
World = dict[str, tuple[str, float, float]]  # name -> kind, east, north of HOME


def frame(north: float, seconds: float, *, vehicle: str = "bus-1", camera: str = "front") -> Frame:
    """A northbound vehicle, some metres up the road."""
    time = START + timedelta(seconds=seconds)
    lat, lon = latlon_from_offset(*HOME, 0.0, north)
    fix = Fix(time=time, lat=lat, lon=lon, speed_mps=5.0, heading_deg=0.0, accuracy_m=2.0)
    return Frame(
        id=frame_id(vehicle, camera, time),
        vehicle=vehicle,
        camera=camera,
        time=time,
        fix=fix,
        jpeg=b"",
        size_wh=SIZE,
        file=f"{seconds}.jpg",
    )


def worker(world: World, *, blind: Sequence[float] = (), noise_px: float = 0.0, mps: float = 0.0) -> Worker:
    """A worker whose detector sees the world without fault, but for frames at `blind` seconds.

    With `mps` the vehicle is where its speed brings it, whatever its receiver says.
    """
    rng = np.random.default_rng(5)

    def detect(frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
        return [_seen(f) for f in frames]

    def _seen(f: Frame) -> list[Found] | ValueError:
        seconds = (f.time - START).total_seconds()
        if seconds in blind:
            return []
        found = []
        for kind, east, north in world.values():
            driven = seconds * mps if mps else (f.fix.lat - HOME[0]) * 110_741.0
            here = np.array([[east, north - driven]])
            road = road_from_ground(here, 0.0)
            u, v = picture_from_road(road, SIZE, CAMERA)[0]
            if not (0 <= u <= SIZE[0] and 0 < v <= SIZE[1]) or road[0, 0] > 25:
                continue
            u, v = u + rng.normal(0, noise_px), min(SIZE[1] - 3.0, v + rng.normal(0, noise_px))
            found.append(Found(kind=kind, confidence=0.8, box_xyxy=(u - 20, v - 50, u + 20, v)))
        return found

    def picture(f: Frame, box: tuple[float, float, float, float]) -> Evidence:
        x1, y1, x2, y2 = (round(v) for v in box)
        return Evidence(uri=f"{f.id}.jpg", sha256=f.id, box_xyxy=(x1, y1, x2, y2))

    return Worker(detect, {"front": CAMERA}, Taxonomy.read(), picture, model="test@sha256:0", recall={"garbage": 0.8})


def drive(w: Worker, frames: Sequence[Frame]) -> list[Sighting | Pass]:
    out: list[Output | Rejected] = [item for f in frames for item in w.work([f])]
    out += w.flush()
    return [item[1] for item in out if not isinstance(item, Rejected)]


def sightings(items: Sequence[Sighting | Pass]) -> list[Sighting]:
    return [item for item in items if isinstance(item, Sighting)]


def along(until: float, step: float = 4.0) -> list[Frame]:
    return [frame(north, north / 5.0) for north in np.arange(0.0, until, step).tolist()]


def test_one_thing_in_many_frames_is_one_sighting_where_it_stands() -> None:
    items = drive(worker({"heap": ("garbage", 3.0, 40.0)}, noise_px=2.0), along(60))
    (sighting,) = sightings(items)
    assert sighting.frames >= 3
    lat, lon = latlon_from_offset(*HOME, 3.0, 40.0)
    assert distance_m(sighting.lat, sighting.lon, lat, lon) < 1.5
    assert sighting.matter == "06010"
    assert sighting.confidence > 0.8  # frames that agree are worth more than one


def test_neighbours_six_metres_apart_stay_two() -> None:
    world = {"a": ("garbage", 3.0, 40.0), "b": ("garbage", 3.0, 46.0)}
    assert len(sightings(drive(worker(world, noise_px=1.0), along(70)))) == 2


def test_the_shared_error_is_the_vehicles_own_and_part_of_the_whole() -> None:
    (sighting,) = sightings(drive(worker({"heap": ("garbage", 3.0, 40.0)}), along(60)))
    assert sighting.shared_covariance_m2 == pytest.approx((4.0, 0.0, 4.0))
    assert sighting.covariance_m2[0] > 4.0
    assert sighting.covariance_m2[2] > 4.0


def test_a_bin_that_most_frames_call_in_order_is_an_object_without_evidence() -> None:
    (sighting,) = sightings(drive(worker({"bin": ("garbage_bin", 3.0, 40.0)}), along(60)))
    assert sighting.kind == "garbage_bin"
    assert sighting.matter is None
    assert sighting.evidence is None


def test_a_sighting_leaves_when_its_thing_left_the_view_not_at_the_end() -> None:
    w = worker({"heap": ("garbage", 3.0, 20.0)})
    sent_at = None
    for f in along(120):
        if any(isinstance(item, tuple) and isinstance(item[1], Sighting) for item in w.work([f])):
            sent_at = f
            break
    assert sent_at is not None
    last_seen = 20.0 / 5.0
    assert (sent_at.time - START).total_seconds() - last_seen <= 5.0
    assert sightings([item for _, item in w.flush()]) == []  # and it is sent once


def test_a_thing_missed_in_one_frame_is_still_one() -> None:
    w = worker({"heap": ("garbage", 3.0, 40.0)}, blind=[5.6, 6.4])
    assert len(sightings(drive(w, along(60)))) == 1


def test_a_pass_tells_what_it_looked_at_also_when_it_saw_nothing() -> None:
    (item,) = drive(worker({}), along(40))
    assert isinstance(item, Pass)
    ahead = latlon_from_offset(*HOME, 0.0, 20.0)
    behind = latlon_from_offset(*HOME, 0.0, -15.0)
    assert item.looked[h3.latlng_to_cell(*ahead, item.h3_resolution)] > 0.5
    assert h3.latlng_to_cell(*behind, item.h3_resolution) not in item.looked
    assert all(0 < p <= 1 for p in item.looked.values())
    assert item.recall == {"garbage": 0.8}


@pytest.mark.parametrize("gap_s", [91.0, 3600.0])
def test_a_long_silence_ends_a_pass(gap_s: float) -> None:
    items = drive(worker({}), [frame(0, 0), frame(4, 1), frame(8, 1 + gap_s)])
    assert len(items) == 2


def test_a_pass_is_never_longer_than_ten_minutes() -> None:
    items = drive(worker({}), [frame(i * 4.0, i * 30.0) for i in range(60)])
    assert len(items) >= 3
    for item in items:
        assert isinstance(item, Pass)
        assert item.ended_at - item.started_at <= timedelta(minutes=10)


def test_ids_do_not_depend_on_how_frames_were_batched() -> None:
    world = {"a": ("garbage", 3.0, 40.0), "b": ("overflow_bin", -3.0, 30.0)}
    one = drive(worker(world), along(70))
    w = worker(world)
    batches = [along(70)[i : i + 7] for i in range(0, 18, 7)]
    out = [item for batch in batches for item in w.work(batch)] + list(w.flush())
    assert [item[1] for item in out if not isinstance(item, Rejected)] == one


def test_two_vehicles_at_once_are_two_passes() -> None:
    frames = [f for i in range(5) for f in (frame(i * 4.0, i), frame(i * 4.0, i + 0.1, vehicle="bus-2"))]
    items = drive(worker({"heap": ("garbage", 3.0, 15.0)}), frames)
    assert {item.vehicle for item in items} == {"bus-1", "bus-2"}
    assert len(sightings(items)) == 2


def test_what_is_sent_reads_back_as_it_was() -> None:
    for item in drive(worker({"heap": ("garbage", 3.0, 40.0)}), along(60)):
        again = parse_sighting(item.document()) if isinstance(item, Sighting) else parse_pass(item.document())
        assert again == item


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", 1.5),
        ("confidence", "0.5"),
        ("lat", 95.0),
        ("lat", float("nan")),
        ("lon", None),
        ("covariance_m2", [1.0, 2.0, 1.0]),
        ("covariance_m2", [float("nan"), 0.0, 1.0]),
        ("covariance_m2", [1e9, 0.0, 1e9]),
        ("covariance_m2", [1.0, 1.0]),
        ("seen_at", "2026-11-20T08:00:00"),
        ("seen_at", "soon"),
        ("id", ""),
        ("matter", 6010),
        ("frames", 0),
    ],
)
def test_a_sighting_with_a_wrong_field_is_refused_by_its_name(field: str, value: object) -> None:
    (sighting,) = sightings(drive(worker({"heap": ("garbage", 3.0, 40.0)}), along(60)))
    with pytest.raises(ValueError, match=field):
        parse_sighting(sighting.document() | {field: value})


def jittered(until: float, sigma_m: float, seed: int) -> list[Frame]:
    """A drive whose receiver wanders from frame to frame."""
    rng = np.random.default_rng(seed)
    out = []
    for f in along(until):
        lat, lon = latlon_from_offset(f.fix.lat, f.fix.lon, *rng.normal(0.0, sigma_m, 2).tolist())
        out.append(replace(f, fix=replace(f.fix, lat=lat, lon=lon)))
    return out


def half_of(frames: Sequence[Frame], seed: int) -> list[float]:
    """The seconds of every second frame, by chance: a detector misses much at a distance."""
    missed = np.random.default_rng(seed).random(len(frames)) < 0.5
    return [(f.time - START).total_seconds() for f, gone in zip(frames, missed.tolist(), strict=True) if gone]


def test_one_thing_is_hardly_ever_two_when_the_receiver_jitters() -> None:
    world = {"heap": ("garbage", 4.0, 40.0)}
    more = 0
    for seed in range(80):
        frames = jittered(60, 1.3, seed)
        w = worker(world, noise_px=3.0, mps=5.0, blind=half_of(frames, seed))
        more += max(0, len(sightings(drive(w, frames))) - 1)
    assert more <= 2


def test_neighbours_are_hardly_ever_one_when_the_receiver_jitters() -> None:
    world = {"a": ("garbage", 4.0, 40.0), "b": ("garbage", 4.0, 46.0)}
    drives = [drive(worker(world, noise_px=3.0, mps=5.0), jittered(70, 1.3, seed)) for seed in range(40)]
    assert 78 <= sum(len(sightings(items)) for items in drives) <= 84


def test_what_a_sighting_says_of_its_own_error_is_true() -> None:
    """The squared error over what is claimed is 2 on average, in two dimensions."""
    there = latlon_from_offset(*HOME, 4.0, 40.0)
    normed = []
    for seed in range(60):
        frames = jittered(60, 1.3, seed)
        w = worker({"heap": ("garbage", 4.0, 40.0)}, noise_px=3.0, mps=5.0, blind=half_of(frames, seed))
        found = sightings(drive(w, frames))
        if not found:
            continue
        sighting = max(found, key=lambda s: s.frames)
        error = np.array(offset_from_latlon(sighting.lat, sighting.lon, *there))
        ee, en, nn = np.subtract(sighting.covariance_m2, sighting.shared_covariance_m2)
        normed.append(float(error @ np.linalg.solve([[ee, en], [en, nn]], error)))
    assert 0.7 < float(np.mean(normed)) < 2.6


def test_two_tracks_of_one_thing_are_told_once_and_named_by_its_first_frame() -> None:
    """A receiver that jumps 8 m for one frame, and back, makes two tracks that meet again."""
    frames = along(60)
    lat, lon = latlon_from_offset(frames[6].fix.lat, frames[6].fix.lon, 0.0, 5.5)
    frames[6] = replace(frames[6], fix=replace(frames[6].fix, lat=lat, lon=lon))
    plain = sightings(drive(worker({"heap": ("garbage", 3.0, 40.0)}, mps=5.0), along(60)))
    (sighting,) = sightings(drive(worker({"heap": ("garbage", 3.0, 40.0)}, mps=5.0), frames))
    assert sighting.id == plain[0].id
