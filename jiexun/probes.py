"""Probes: /metrics for Prometheus, /healthz and /readyz for whoever restarts and routes. On a port of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ingest.record import Partition
from ingest.watch import Unwatched


class Health(Unwatched):
    """A Watch that knows whether its loop lives, and whether it can work.

    Alive: the loop turned within `stalled_s`, or has not begun yet. Ready: it has its place in the group and waits for
    no broker or store. `check` is asked beside, where there is no loop: it returns what is wrong, or None.
    """

    def __init__(
        self,
        *,
        loop: bool = True,
        stalled_s: float = 300.0,
        check: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._stalled_s = stalled_s
        self._check = check
        self._turned: float | None = None
        self._waits_for: str | None = "its place in the group" if loop else None

    def turned(self) -> None:
        self._turned = self._clock()

    def assigned(self, partitions: frozenset[Partition]) -> None:
        self._waits_for = None

    def blocked(self, reason: str | None) -> None:
        self._waits_for = reason

    def dead(self) -> str | None:
        """Why the process should be restarted, if it should."""
        if self._turned is None or self._clock() - self._turned <= self._stalled_s:
            return None
        return f"the loop has not turned for {self._clock() - self._turned:.0f} s"

    def unready(self) -> str | None:
        """Why it cannot work just now, if it cannot."""
        return self.dead() or (f"waits for: {self._waits_for}" if self._waits_for else None) or self._check()


class Probes:
    """The server of the probes, in the background. Port 0 takes a free one. Raises OSError when the port is taken."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        class Handler(_Handler):
            answers = {  # noqa: RUF012 — the base class annotates it
                "/metrics": lambda accept: _metrics(registry, accept),
                "/healthz": lambda _: _said(health.dead()),
                "/readyz": lambda _: _said(health.unready()),
            }

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="probes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Answer = tuple[int, str, bytes]  # status, content type, body


class _Handler(BaseHTTPRequestHandler):
    answers: dict[str, Callable[[str], Answer]]
    timeout = 10  # of a client that says nothing
    server_version = "jiexun"
    sys_version = ""

    def do_GET(self) -> None:
        answer = self.answers.get(self.path.partition("?")[0])
        status, kind, body = answer(self.headers.get("accept", "")) if answer else (404, TEXT, b"not found\n")
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a scrape every few seconds is no news."""


TEXT = "text/plain; charset=utf-8"


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    encoder, kind = choose_encoder(accept)
    return 200, kind, encoder(registry)


def _said(wrong: str | None) -> Answer:
    return (200, TEXT, b"ok\n") if wrong is None else (503, TEXT, f"{wrong}\n".encode())
