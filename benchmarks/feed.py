"""Vehicles for a benchmark: a process that sends frames to topic `frames`, so many at a time and at a steady pace."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Self

from benchmarks.crew import send_all
from benchmarks.machine import cpu_s
from ingest.binding import frame_record
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.frame import Fix, Frame, frame_id
from ingest.geo import latlon_from_offset
from ingest.jpeg import read_header
from ingest.record import Record

VEHICLES = 20
STEP_M, STEP = 4.0, timedelta(seconds=1)  # between two frames of a vehicle
BEGIN = timedelta(hours=6)  # ago
AT_ONCE = 4  # frames sent before the pace is looked at


def frame_of(number: int, jpegs: list[bytes], begin: datetime) -> Frame:
    """The frame of that number: vehicles take turns, each drives north in a street of its own."""
    step, vehicle = divmod(number, VEHICLES)
    time = begin + step * STEP
    lat, lon = latlon_from_offset(22.55, 114.05, vehicle * 60.0, step * STEP_M)
    jpeg = jpegs[number % len(jpegs)]
    name = f"taxi-{vehicle:03d}"
    return Frame(
        id=frame_id(name, "right", time),
        vehicle=name,
        camera="right",
        time=time,
        fix=Fix(time=time, lat=lat, lon=lon, speed_mps=4.0, heading_deg=0.0, accuracy_m=2.5),
        jpeg=jpeg,
        size_wh=read_header(jpeg),
        file="",
    )


def records(begin_number: int, count: int, jpegs: list[bytes], begin: datetime) -> list[Record]:
    """Records of the frames of these numbers."""
    return [frame_record(frame_of(begin_number + n, jpegs, begin)) for n in range(count)]


def start_of_day() -> datetime:
    """When the vehicles began: long enough ago that no frame lies in the future."""
    now = datetime.now(UTC) - BEGIN
    return now.replace(microsecond=0)


class Feed:
    """The process. `send` returns at once; what it costs is asked with `cpu_s`."""

    def __init__(self, cluster: Cluster, jpegs: list[bytes]) -> None:
        context = multiprocessing.get_context("spawn")  # threads of the net and of Kafka do not survive a fork
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, cluster, jpegs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def send(self, count: int, per_s: float) -> None:
        """Begin to send so many more frames, so many a second."""
        self._ours.send((count, per_s))

    def wait(self) -> None:
        """Return when what was begun is durable."""
        self._ours.recv()

    @property
    def cpu_s(self) -> float:
        return cpu_s(self._process.pid or 0)


def _serve(pipe: Connection, cluster: Cluster, jpegs: list[bytes]) -> None:
    sent, begin = 0, start_of_day()
    with closing(KafkaBus(cluster)) as bus:
        pipe.send(None)
        while True:
            count, per_s = pipe.recv()
            start = time.monotonic()
            for done in range(0, count, AT_ONCE):
                time.sleep(max(0.0, start + done / per_s - time.monotonic()))
                some = min(AT_ONCE, count - done)
                send_all(bus, records(sent, some, jpegs, begin))
                sent += some
            pipe.send(None)
