"""CloudEvents 1.0 in structured JSON mode: the envelope of everything but frames."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from json.encoder import c_make_encoder  # type: ignore[attr-defined]  # not in typeshed
from json.encoder import encode_basestring as quoted
from typing import Any

from ingest.frame import parse_rfc3339, rfc3339

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# `ENCODER.encode` makes its encoder in C anew for each text, which takes as long as writing a sighting does.
_PIECES = c_make_encoder and c_make_encoder(
    None, ENCODER.default, quoted, None, ENCODER.key_separator, ENCODER.item_separator, False, False, False
)


@dataclass(frozen=True, kw_only=True)  # no slots: its line is written once
class Envelope:
    """One event. `time` is when its producer made it, `data` what it says."""

    id: str
    type: str  # "cn.jiexun.sighting.v1"
    source: str  # "/vision/bus-0417"
    time: datetime
    data: dict[str, Any]

    @cached_property
    def line(self) -> str:
        """`dumps()`, written once. Raises ValueError where the data hold a number that JSON has no word for."""
        return self.dumps()

    def dumps(self, data: str | None = None) -> str:
        """One line of JSON (UTF-8, no NaN). `data`: its data as JSON, where that is written already."""
        return (
            f'{{"specversion":"1.0","id":{quoted(self.id)},"type":{quoted(self.type)},"source":{quoted(self.source)},'
            f'"time":"{rfc3339(self.time)}","datacontenttype":"application/json",'
            f'"data":{dumps(self.data) if data is None else data}}}'
        )


def dumps(value: Any) -> str:
    """JSON in one line. Floats come back exactly as they were; NaN raises ValueError."""
    return ENCODER.encode(value) if _PIECES is None else "".join(_PIECES(value, 0))


def parse_envelope(line: str | bytes) -> Envelope:
    """Read one JSON line. Raises ValueError that says what is wrong with it."""
    try:
        text = line.removeprefix(BOM_UTF8).decode() if isinstance(line, bytes) else line
        doc = json.loads(text)
        # An escaped half of a character names nothing and cannot be stored.
        if "\\u" in text and "\\ud" in text.lower():
            json.dumps(doc, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(doc, dict):
        raise ValueError("not a JSON object")
    if doc.get("specversion") != "1.0":
        raise ValueError(f"specversion is {doc.get('specversion')!r}, expected '1.0'")
    for name in ("id", "type", "source", "time"):
        if not isinstance(doc.get(name), str) or not doc[name]:
            raise ValueError(f"envelope lacks {name}")
    if not isinstance(doc.get("data"), dict):
        raise ValueError("envelope lacks data")
    try:
        time = parse_rfc3339(doc["time"])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"envelope time: {error}") from None
    return Envelope(id=doc["id"], type=doc["type"], source=doc["source"], time=time, data=doc["data"])
