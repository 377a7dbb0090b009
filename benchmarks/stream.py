"""How much of the hot path's speed is left when its frames come through Kafka, published while it runs?

In turns, in one process and on the same pictures: the hot path (see `benchmarks.hotpath`) on JPEGs that lie ready, and
the worker's own loop (`vision.stream`), which polls, checks, detects, keeps cameras, sends sightings and passes, and
commits. Another process publishes frames meanwhile, somewhat faster than they are read; the broker runs on the same
cores. Evidence pictures are left out of the first figure, as the hot path makes none, and measured beside it.

`transport`: reading frames of 150 KB through `ingest.bus`, each parsed and checked, beside kafka-python's own consumer
benchmark (`kafka.benchmarks.consumer_performance`) on the same topic, in turns.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.broker import Broker
from benchmarks.crew import send_all
from benchmarks.feed import Feed, records, start_of_day
from benchmarks.machine import cpu_s, where
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from ingest.binding import parse_frame
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import make_topics
from ingest.frame import Frame
from ingest.reader import Reader
from ingest.record import Partition
from ingest.topics import FRAMES, TOPICS
from ingest.watch import Unwatched
from jiexun.settings import Settings
from models.card import find_card
from models.taxonomy import Taxonomy
from vision.camera import DEFAULT_CAMERAS
from vision.detector import Detector
from vision.evidence import EvidenceMaker
from vision.pictures import FolderEvidence
from vision.privacy import FaceBlur
from vision.reporting import reporter
from vision.sighting import Evidence, Pictured
from vision.stream import GROUP, FrameLoop
from vision.worker import Worker

PARTITIONS = 4
BATCH = Settings().batch
REPEATS = 6  # turns
QUALITY = 94  # of the JPEGs: 450 KB and more each, as dashcams write them
TURN = 20 * BATCH  # frames of a turn
LEAST_TURN = 3 * BATCH  # speed is told from the end of the first batch to that of the last
FASTER = 1.25  # frames are published, beside how fast they are worked on
TRANSPORTED, TRANSPORTED_BYTES = 4000, 150_000
LATE_S = 300.0
PARTS = ("hotpath", "loop", "broker", "publisher")  # what processor time is told of

Box = tuple[float, float, float, float]


def main(
    *, json: bool = False, repeats: int = REPEATS, turn: int = TURN, transported: int = TRANSPORTED
) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table.

    Raises ValueError for a turn of too few batches, FileNotFoundError without the sample drive, RuntimeError where no
    Kafka can be had.
    """
    if turn < LEAST_TURN:
        raise ValueError(f"a turn of {turn} frames is too short: batches are of {BATCH}, it takes {LEAST_TURN}")
    load = round(os.getloadavg()[0], 2)
    with Broker() as broker, tempfile.TemporaryDirectory(prefix="jiexun-stream-") as folder:
        fed = measure_feeding(broker, Path(folder), repeats, turn)
        moved = measure_transport(broker, transported)
    result = {"benchmark": "stream"} | fed | {"transport": moved, "load_before": load} | where()
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


class Turns(Unwatched):
    """Counts what the loop has worked on, and when."""

    def __init__(self) -> None:
        self.at: list[tuple[float, int]] = []

    def batch(self, items: int, room: int, seconds: float) -> None:
        self.at.append((time.perf_counter(), items))

    def fps(self) -> float:
        """From the end of the first batch to the end of the last."""
        frames = sum(items for _, items in self.at[1:])
        return frames / (self.at[-1][0] - self.at[0][0])

    @property
    def frames(self) -> int:
        return sum(items for _, items in self.at)


def measure_feeding(broker: Broker, folder: Path, repeats: int, turn: int) -> dict[str, Any]:
    """Frames a second of the hot path, of the loop, and of the loop with evidence; and what the broker costs."""
    jpegs = pictures(SAMPLE, SIZES_WH["1080p"], quality=QUALITY)
    card = find_card("streetscape-v1")
    path = Detector(card)

    def hot() -> float:
        start = time.perf_counter()
        path.detect_jpegs([*islice(cycle(jpegs), turn)])
        return turn / (time.perf_counter() - start)

    def worker(picture: Callable[[Frame, Box], Pictured]) -> Worker:
        return Worker(
            reporter(path, card), DEFAULT_CAMERAS, Taxonomy.read(), picture, model=path.version, recall=card.recall
        )

    with ExitStack() as stack:
        plain = stack.enter_context(Lane(broker, "plain-", worker(no_picture), jpegs))
        maker = EvidenceMaker(FolderEvidence(folder), FaceBlur)
        whole = stack.enter_context(Lane(broker, "whole-", worker(maker), jpegs))
        fps: dict[str, list[float]] = {"hotpath": [], "stream": [], "stream_with_evidence": []}
        cost = dict.fromkeys(("broker", "publisher", "loop", "wall", "hotpath"), 0.0)
        hot()
        for lane in (plain, whole):
            lane.turn(turn // 2, FASTER * hot())  # warm
        for _ in range(repeats):
            begun = cpu_s(os.getpid())
            fps["hotpath"].append(hot())
            cost["hotpath"] += cpu_s(os.getpid()) - begun
            pace = FASTER * fps["hotpath"][-1]  # of this moment: what is published must never be what limits
            before = broker.cpu_s(), plain.feed.cpu_s, cpu_s(os.getpid()), time.perf_counter()
            fps["stream"].append(plain.turn(turn, pace))
            after = broker.cpu_s(), plain.feed.cpu_s, cpu_s(os.getpid()), time.perf_counter()
            for name, first, last in zip(cost, before, after, strict=False):  # the hot path's is counted above
                cost[name] += last - first
            fps["stream_with_evidence"].append(whole.turn(turn, pace))
    return {
        **speeds(fps),
        **costs(cost, repeats * turn),
        "evidence_bytes": bytes_each(folder),
        # Made, not kept: of few pictures, over and over, many come out the same and are kept once.
        "evidence_pictures_per_frame": round(maker.stored / whole.worked, 3),
        "frame_bytes": round(float(np.mean([len(jpeg) for jpeg in jpegs]))),
        "partitions": PARTITIONS,
        "batch": BATCH,
        "repeats": repeats,
        "frames_a_turn": turn,
        "model": path.version,
    }


def speeds(fps: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Frames a second, and what is left of the hot path's."""
    return {
        "ratio_to_hotpath": ratio(fps["stream"], fps["hotpath"]),
        "ratio_with_evidence": ratio(fps["stream_with_evidence"], fps["hotpath"]),
        "fps": {name: round(median(values), 2) for name, values in fps.items()},
        "turns": {name: [round(value, 2) for value in values] for name, values in fps.items()},
    }


def costs(cost: Mapping[str, float], frames: int) -> dict[str, Any]:
    """Processor seconds as parts of a frame, and of the whole machine."""
    cores = os.cpu_count() or 1
    shares = {f"{name}_cpu_share": round(cost[name] / cost["wall"] / cores, 4) for name in PARTS[1:]}
    return shares | {
        # What a frame costs, without the broker and the sender
        "ratio_of_processor": round(cost["hotpath"] / cost["loop"], 4),
        "cpu_ms_per_frame": {name: round(1e3 * cost[name] / frames, 2) for name in PARTS},
    }


def bytes_each(folder: Path) -> int:
    """Of the evidence pictures in a folder, on average."""
    return round(float(np.mean([file.stat().st_size for file in folder.iterdir()] or [0])))


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the turns' own ratios: what disturbs a machine for a while disturbs both of a pair."""
    return round(median(a / b for a, b in zip(of, to, strict=True)), 4)


def no_picture(frame: Frame, box: Box) -> Evidence:
    """Evidence of a run that makes none."""
    return Evidence(uri=None, sha256=None, box_xyxy=None, missing="left out")


class Lane:
    """The worker's loop on topics of its own, and the process that feeds it."""

    def __init__(self, broker: Broker, prefix: str, worker: Worker, jpegs: list[bytes]) -> None:
        self._cluster = Cluster(servers=broker.servers, prefix=prefix)
        make_topics(self._cluster, few_partitions())
        self._watch = Turns()
        self.feed = Feed(self._cluster, jpegs)
        self.worked = 0  # frames
        self._bus = KafkaBus(self._cluster, read=[FRAMES.name], group=GROUP)
        self._loop = FrameLoop(
            Reader(self._bus, self._watch),
            worker,
            DEFAULT_CAMERAS,
            self._watch,
            scan=self._bus.scan,
            now=lambda: datetime.now(UTC),
            batch=BATCH,
        )

    def __enter__(self) -> Lane:
        self.feed.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.__exit__()
        self._bus.close()

    def turn(self, frames: int, per_s: float) -> float:
        """Publish and work on so many frames. Returns the frames a second. Raises RuntimeError when they stay away."""
        self.worked += frames
        self._watch.at.clear()
        self.feed.send(frames, per_s)
        give_up = time.monotonic() + LATE_S
        while self._watch.frames < frames:
            self._loop.turn()
            if time.monotonic() > give_up:
                raise RuntimeError(f"{self._watch.frames} of {frames} frames came through Kafka within {LATE_S:g} s")
        self.feed.wait()
        return self._watch.fps()


def few_partitions() -> list[Any]:
    return [topic if topic.partitions == 1 else replace(topic, partitions=PARTITIONS) for topic in TOPICS]


def measure_transport(broker: Broker, count: int, repeats: int = 3) -> dict[str, Any]:
    """Reading alone: ours with every frame parsed, and kafka-python's benchmark."""
    cluster = Cluster(servers=broker.servers, prefix="transport-")
    make_topics(cluster, few_partitions())
    jpegs = [sized(jpeg, TRANSPORTED_BYTES) for jpeg in pictures(SAMPLE, SIZES_WH["1080p"])[:4]]
    with closing(KafkaBus(cluster)) as bus:
        for begin in range(0, count, 200):
            send_all(bus, records(begin, min(200, count - begin), jpegs, start_of_day()))
    ours, theirs = [], []
    for turn in range(repeats):
        ours.append(count / read_all(cluster, f"reader-{turn}", count))
        theirs.append(count / library_benchmark(cluster, count))
    per_s, bare = median(ours), median(theirs)
    size = float(np.mean([len(jpeg) for jpeg in jpegs]))
    return {
        "ratio_to_kafka_python": round(per_s / bare, 4),
        "frames_per_s": round(per_s, 1),
        "mb_per_s": round(per_s * size / 1e6, 1),
        "kafka_python_per_s": round(bare, 1),
        "kafka_python_mb_per_s": round(bare * size / 1e6, 1),
        "frame_bytes": round(size),
        "frames": count,
        "repeats": repeats,
    }


def sized(jpeg: bytes, wanted: int) -> bytes:
    """The picture at 1280 × 720, as a JPEG of about so many bytes."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    small = cv2.resize(image, (1280, 720), interpolation=cv2.INTER_AREA)
    made = [cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, q])[1].tobytes() for q in range(60, 100, 3)]
    return min(made, key=lambda one: abs(len(one) - wanted))


def read_all(cluster: Cluster, group: str, count: int) -> float:
    """Seconds to read and parse so many frames as a new group, committing as it goes, from the first call on."""
    with closing(KafkaBus(cluster, read=[FRAMES.name], group=group)) as bus:
        start = time.perf_counter()
        done = 0
        while done < count:
            found = bus.poll(64, 1.0)
            for record in found:
                parse_frame(record, now=datetime.now(UTC))
            done += len(found)
            bus.changes()
            after: dict[Partition, int] = {record.place: record.offset + 1 for record in found}
            if found and done % 512 < len(found):
                bus.commit(after)
        return time.perf_counter() - start


def library_benchmark(cluster: Cluster, count: int) -> float:
    """Seconds that kafka-python's own benchmark says for as many records of the same topic."""
    asked = [sys.executable, "-W", "ignore", "-m", "kafka.benchmarks.consumer_performance"]
    asked += ["-b", *cluster.servers.split(","), "-t", cluster.prefix + FRAMES.name, "--num-records", str(count)]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Execution time: ([0-9.]+) secs", said)
    if found is None or f"Consumed {count} records" not in said:
        raise RuntimeError(f"kafka.benchmarks.consumer_performance did not read {count} records: {said[-500:]}")
    return float(found[1])


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    moved = result["transport"]
    lines = [f"{'':34}{'frames/s':>10}{'ratio':>8}"]
    lines.append(f"{'hot path, pictures lie ready':34}{result['fps']['hotpath']:>10.1f}")
    lines.append(f"{'through Kafka':34}{result['fps']['stream']:>10.1f}{result['ratio_to_hotpath']:>8.3f}")
    lines.append(
        f"{'through Kafka, with evidence':34}{result['fps']['stream_with_evidence']:>10.1f}"
        f"{result['ratio_with_evidence']:>8.3f}"
    )
    lines.append(f"{'transport alone, 150 KB':34}{moved['frames_per_s']:>10.1f}{moved['ratio_to_kafka_python']:>8.3f}")
    lines.append(f"{'kafka-python consumer benchmark':34}{moved['kafka_python_per_s']:>10.1f}")
    lines.append(
        "processor ms a frame: "
        + ", ".join(f"{name} {ms}" for name, ms in result["cpu_ms_per_frame"].items())
        + f"; hot path to loop {result['ratio_of_processor']:.3f}"
    )
    lines.append(
        f"broker {result['broker_cpu_share']:.1%} of {result['cores']} cores, publisher "
        f"{result['publisher_cpu_share']:.1%}; load before {result['load_before']}"
    )
    lines.append(f"{result['machine']} · {result['date']} · commit {result['commit']}")
    return "\n".join(lines)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--turn", type=int, default=TURN, help="frames of a turn")
    parser.add_argument("--transported", type=int, default=TRANSPORTED, help="frames read for the transport figure")
    args = parser.parse_args(argv)
    try:
        main(json=args.json, repeats=args.repeats, turn=args.turn, transported=args.transported)
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command()
