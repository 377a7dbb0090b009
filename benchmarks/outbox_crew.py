"""The processes of the outbox benchmark that are killed, and what feeds them."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from benchmarks.filebus import FileBus
from dispatcher import stream
from dispatcher.area import parse_areas
from dispatcher.store.store import Store
from dispatcher.stream import READS, DispatchLoop
from ingest.binding import event_record
from ingest.reader import Reader
from ingest.topics import SIGHTINGS
from ingest.watch import Unwatched
from models.taxonomy import Taxonomy
from vision.place import place_of
from vision.sighting import Sighting, enveloped

DISPATCH, DELIVER = "dispatcher", "deliver"
SNAPSHOT_EVERY = 500  # inputs: so that kills meet snapshots, of which few are else made


def dispatch(folder: str) -> None:
    """The dispatcher's loop, as `jiexun dispatch` runs it, on the bus of files."""
    from jiexun.streams import stopping

    home = Path(folder)
    text = (home / "areas.geojson").read_text(encoding="utf-8")
    stream.SNAPSHOT_EVERY = SNAPSHOT_EVERY
    bus = FileBus(home, READS)
    reader = Reader(bus, Unwatched())
    with Store.open(store_url(home)) as store:
        while (lease := store.lease()) is None:
            time.sleep(0.05)
        store.keep_areas(text)
        areas, _ = parse_areas(text, "the benchmark's areas")
        now = partial(datetime.now, UTC)
        loop = DispatchLoop(reader, store, lease, areas, Taxonomy.read(), Unwatched(), scan=bus.scan, now=now)
        with stopping(reader.stop):
            loop.recover()
            loop.run()
        lease.release()


def send(folder: str) -> None:
    """The shipped command."""
    from jiexun.deliver import deliver

    os.environ["JIEXUN_CHANNELS_ALLOW"] = "127.0.0.0/8"
    deliver(store=store_url(Path(folder)), until_idle=None, metrics_port=0)


def store_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'outbox.db'}"


class Processes:
    """The dispatcher and the sender. Each start is a new process, forked from one that has only read the libraries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmarks.outbox_crew", "jiexun.deliver", "jiexun.streams"])
        self._running: dict[str, Any] = {}
        self.restarts = 0  # of processes that ended by themselves

    def __enter__(self) -> Self:
        for name in (DISPATCH, DELIVER):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.join()

    def start(self, name: str) -> None:
        target = dispatch if name == DISPATCH else send
        process = self._context.Process(
            target=_quietly, args=(target, str(self._folder), name, os.getpid()), daemon=True
        )
        with _no_main():
            process.start()
        self._running[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again."""
        process = self._running[name]
        process.kill()
        process.join()
        self.start(name)

    def look_after(self) -> None:
        """Start again what ended by itself. Raises RuntimeError for what keeps ending."""
        for name, process in list(self._running.items()):
            if process.exitcode is not None:
                self.restarts += 1
                if self.restarts > 5:
                    log = (self._folder / f"{name}.log").read_text(errors="replace")
                    raise RuntimeError(f"{name} keeps ending: {log[-1000:]}")
                self.start(name)

    def stop(self) -> None:
        """SIGTERM, in order. Raises RuntimeError when one does not end well."""
        for name, process in self._running.items():
            process.terminate()
            process.join(60.0)
            if process.exitcode != 0:
                raise RuntimeError(f"{name} ended with {process.exitcode} on SIGTERM")


@contextmanager
def _no_main() -> Iterator[None]:
    """A new process would import the main module again, `jiexun` with all its libraries, where nothing needs it."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


def _quietly(target: Any, folder: str, name: str, parent: int) -> None:
    """In the new process: what it says goes to its log, and it does not outlive the benchmark."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    handle = os.open(Path(folder) / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's
    target(folder)


def _end_with(parent: int) -> None:
    while Path(f"/proc/{parent}").exists():
        time.sleep(1.0)
    os._exit(1)


class Feed(threading.Thread):
    """Sightings arrive: for every kill a share of them, evenly over its time."""

    def __init__(self, folder: Path, sightings: list[Sighting], kills: int, a_kill_s: float) -> None:
        super().__init__(daemon=True)
        self._bus = FileBus(folder)
        self._sightings = sightings
        self._shares = max(1, kills)
        self._a_kill_s = a_kill_s
        self._begun = (0, time.monotonic())  # share, and when it began
        self.stopping = threading.Event()

    def next(self, share: int) -> None:
        """Another share may arrive."""
        self._begun = (share, time.monotonic())

    def run(self) -> None:
        sent = 0
        while sent < len(self._sightings) and not self.stopping.is_set():
            share, began = self._begun
            part = min(1.0, (time.monotonic() - began) / self._a_kill_s) if self._a_kill_s else 1.0
            due = min(len(self._sightings), math.ceil(len(self._sightings) * (share + part) / self._shares))
            for sighting in self._sightings[sent:due]:
                envelope = enveloped(sighting, made_at=sighting.seen_at)
                self._bus.send(event_record(SIGHTINGS.name, place_of(sighting), envelope))
            self._bus.flush()
            sent = due
            self.stopping.wait(0.05)
