"""Serving the app: the port is taken first, then the server runs here or in the background, and it always ends."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from dispatcher.api.app import demands_sign_in, stopping

GRACE_S = 5  # how long requests in progress may take to end
START_S = 30.0


class PortInUse(OSError):
    """Somebody else listens on the port: choose another one."""


class Serving:
    """An app on a port that is already ours. `run` serves until a signal; `start` in the background until `stop`."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self._listener = listener
        self._address: tuple[str, int] = listener.getsockname()[:2]
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=GRACE_S, lifespan="off", server_header=False
        )
        self._server = _Server(config, stopping(app))
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self) -> None:
        """Serve in the main thread until interrupted (Ctrl+C) or told to terminate."""
        try:
            self._server.run(sockets=[self._listener])
        except KeyboardInterrupt:  # uvicorn raises the signal again once everything is closed
            pass
        finally:
            self._listener.close()

    def start(self) -> None:
        """Serve in a background thread; returns when it answers. Raises RuntimeError when it does not come up."""
        self._thread = threading.Thread(target=self.run, name="console", daemon=True)
        self._thread.start()
        if not self._server.up.wait(START_S):
            raise RuntimeError("the server did not come up")

    def stop(self) -> None:
        """End a server that was started in the background, open streams included."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._listener.close()

    def wait(self) -> None:
        """Block until a server that was started in the background ends; Ctrl+C ends it."""
        try:
            if self._thread is not None:
                self._thread.join()
        except KeyboardInterrupt:
            self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """uvicorn, which waits for open connections: so the streams must hear that it is going down before it waits."""

    def __init__(self, config: uvicorn.Config, stop_streams: threading.Event) -> None:
        super().__init__(config)
        self._stop_streams = stop_streams
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop_streams.set()
        await super().shutdown(sockets)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> Serving:
    """Take the port (0: any free one) and return the server, not yet running. Raises PortInUse, or another OSError.

    Raises ValueError for an address that others reach while nobody has to sign in.
    """
    if not (_loopback(host) or demands_sign_in(app)):
        raise ValueError(
            f"there are no accounts yet: only the loopback address is served, not {host} (see `jiexun users add`)"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said aloud, or asyncio takes it for no TCP, and what is short waits 40 ms for a reader to acknowledge the header.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port left in TIME_WAIT is free
    try:
        listener.bind((host, port))
        listener.listen(128)  # a bound port is ours only once it listens
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"port {port} is in use: choose another with --port") from None
        raise
    return Serving(app, listener)
