"""Receivers: real HTTP servers on loopback that channels send to, for benchmarks and tests.

An idempotent webhook receiver, and servers that enforce what the vendors of the chat robots document.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import standardwebhooks

Answer = tuple[int, dict[str, str], bytes]
Request = tuple[str, dict[str, str], bytes]  # path with query, headers in lower case, body
HANG_UP: Answer = (0, {}, b"")


class Server:
    """Answers POSTs by a function; keeps what came."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                request = (self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                server.requests.append(request)
                status, headers, said = server.answer(request)
                if not status:
                    self.close_connection = True
                    return
                try:
                    self.send_response(status)
                    for name, value in (headers | {"content-length": str(len(said))}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said)
                except OSError:  # the sender was killed while it waited
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None: ...

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A connection that its killed client reset is no news."""

        self._http = Listener(("127.0.0.1", 0), Handler)
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

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.verdict: Answer = (204, {}, b"")
        self.handled: Counter[str] = Counter()  # by webhook-id
        self.redelivered = 0
        self.data: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        _, headers, body = request
        try:
            document = standardwebhooks.Webhook(self.secret).verify(body, headers)
        except standardwebhooks.WebhookVerificationError as error:
            return 401, {}, str(error).encode()
        if self.verdict[0] // 100 in (0, 2):
            with self._lock:
                if self.handled[headers["webhook-id"]]:
                    self.redelivered += 1
                else:
                    self.handled[headers["webhook-id"]] += 1
                    self.data.append(document)
        return self.verdict


class Robot(ABC):
    """What the three vendors' servers have in common: an error is HTTP 200 with a code; messages are kept.

    `clock` may run faster than time, so that a test of a minute's limit does not take minutes.
    """

    number, said, ok = "errcode", "errmsg", "ok"
    limits: tuple[tuple[int, float], ...] = ()  # messages, in so many seconds
    too_fast: tuple[int, str]
    locked_s = 0.0  # after a message too many

    def __init__(self, secret: str = "", clock: Callable[[], float] = time.time) -> None:
        self.secret = secret
        self.messages: list[dict[str, Any]] = []
        self.refused: Counter[int] = Counter()
        self._clock = clock
        self._times: list[float] = []
        self._locked_until = 0.0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self._lock:
            number, said = self._judged(request)
        self.refused.update([number] if number else [])
        return 200, {"content-type": "application/json"}, json.dumps({self.number: number, self.said: said}).encode()

    def _judged(self, request: Request) -> tuple[int, str]:
        path, headers, raw = request
        now = self._clock()
        if now < self._locked_until or any(
            sum(now - at < seconds for at in self._times) >= most for most, seconds in self.limits
        ):
            self._locked_until = max(self._locked_until, now + self.locked_s)
            return self.too_fast
        self._times.append(now)
        if not headers.get("content-type", "").startswith("application/json"):
            return 43004, "content-type must be application/json"
        body = json.loads(raw.decode("utf-8"))
        wrong = self.check(path, body, raw, now)
        if wrong is not None:
            return wrong
        self.messages.append(body)
        return 0, self.ok

    @abstractmethod
    def check(self, path: str, body: dict[str, Any], raw: bytes, now: float) -> tuple[int, str] | None:
        """What the vendor would find wrong."""


class WeComRobot(Robot):
    """https://developer.work.weixin.qq.com/document/path/91770"""

    limits = ((20, 60.0),)
    too_fast = (45009, "api freq out of limit")

    def check(self, path: str, body: dict[str, Any], raw: bytes, now: float) -> tuple[int, str] | None:
        if not parse_qs(urlsplit(path).query).get("key"):
            return 93000, "invalid webhook url"
        kind = body.get("msgtype")
        most = {"text": 2048, "markdown": 4096}.get(str(kind))
        if most is None:
            return 40008, "invalid message type"
        content = body[str(kind)]["content"]
        if len(content.encode()) > most:
            return 40058, f"{kind}.content exceed max length {most}. invalid Request Parameter"
        if kind == "markdown" and set(body["markdown"]) != {"content"}:
            return 40058, "invalid Request Parameter"
        return None if content else (44004, "empty content")


class DingTalkRobot(Robot):
    """https://open.dingtalk.com/document/robots/custom-robot-access"""

    limits = ((20, 60.0),)
    too_fast = (130101, "send too fast, exceed 20 times per minute")
    locked_s = 600.0

    def check(self, path: str, body: dict[str, Any], raw: bytes, now: float) -> tuple[int, str] | None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if not query.get("access_token"):
            return 300005, "token is not exist"
        if self.secret and not self._signed(query):
            return 310000, "sign not match"
        if len(raw) > 20_000:
            return 460101, "message too long"
        if body.get("msgtype") != "markdown" or not body["markdown"].get("title") or not body["markdown"].get("text"):
            return 40035, "param error"
        if any(f"@{mobile}" not in body["markdown"]["text"] for mobile in body.get("at", {}).get("atMobiles", [])):
            return 40035, "who is called must be named in the text"
        return None

    def _signed(self, query: dict[str, str]) -> bool:
        timestamp = query.get("timestamp", "0")
        if abs(time.time() * 1000 - int(timestamp)) > 3_600_000:
            return False
        digest = hmac.new(self.secret.encode(), f"{timestamp}\n{self.secret}".encode(), hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), query.get("sign", ""))


class FeishuRobot(Robot):
    """https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""

    number, said, ok = "code", "msg", "success"
    limits = ((100, 60.0), (5, 1.0))
    too_fast = (11232, "frequency limited")

    def check(self, path: str, body: dict[str, Any], raw: bytes, now: float) -> tuple[int, str] | None:
        if not path.startswith("/open-apis/bot/v2/hook/"):
            return 19001, "param invalid: incoming webhook access token invalid"
        if len(raw) > 20 * 1024:
            return 9499, "Bad Request"
        if self.secret and not self._signed(body):
            return 19021, "sign match fail or timestamp is not within one hour from current time"
        card = body.get("card", {})
        if body.get("msg_type") != "interactive" or not card.get("elements") or not card["header"]["title"]["content"]:
            return 9499, "Bad Request"
        return None

    def _signed(self, body: dict[str, Any]) -> bool:
        timestamp = body.get("timestamp", "0")
        if not isinstance(timestamp, str) or abs(time.time() - int(timestamp)) > 3600:
            return False
        digest = hmac.new(f"{timestamp}\n{self.secret}".encode(), digestmod=hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), body.get("sign", ""))
