"""Real servers on loopback: a webhook receiver that verifies as the spec says, and handles each id once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import standardwebhooks

Answer = tuple[int, dict[str, str], bytes]
Request = tuple[str, dict[str, str], bytes]  # path with query, headers in lower case, body


class Server:
    """Answers POSTs by a function; keeps what came."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                request = (self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                server.requests.append(request)
                status, headers, said = server.answer(request)
                if status == 0:  # hang up without an answer
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in (headers | {"content-length": str(len(said))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class Machine:
    """An idempotent receiver: refuses what is not signed, handles each webhook-id once, counts what came again."""

    def __init__(self, secret: str, answer: Answer = (204, {}, b"")) -> None:
        self.secret = secret
        self.verdict = answer
        self.handled: Counter[str] = Counter()
        self.repeats = 0
        self.data: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        _, headers, body = request
        try:
            document = standardwebhooks.Webhook(self.secret).verify(body, headers)
        except standardwebhooks.WebhookVerificationError as error:
            return 401, {}, str(error).encode()
        if self.verdict[0] // 100 == 2:
            with self._lock:
                if self.handled[headers["webhook-id"]]:
                    self.repeats += 1
                else:
                    self.handled[headers["webhook-id"]] += 1
                    self.data.append(document)
        return self.verdict
