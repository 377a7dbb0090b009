"""Posted: the form of a report, read with care. What is wrong is said as the standard wants it, by a status."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from dispatcher.open311.report import (
    ACCURACY_M,
    LEAST_ACCURACY_M,
    MOST_ACCURACY_M,
    PREFIX,
    Contact,
    Report,
)
from dispatcher.open311.services import DATUMS
from ingest.frame import parse_rfc3339
from ingest.gcj02 import wgs84_from_gcj02
from models.taxonomy import Taxonomy

Form = Mapping[str, str]
MOST_FIELDS = 60
LENGTHS = {
    "description": 4000,
    "address_string": 500,
    "media_url": 2000,
    "first_name": 100,
    "last_name": 100,
    "phone": 40,
    "email": 254,
    "device_id": 200,
    "account_id": 200,
}
# What XML cannot carry, or a page not show: control characters, halves of characters, and no characters at all
UNKEPT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
FORM = "application/x-www-form-urlencoded"
AHEAD = timedelta(minutes=10)  # clocks differ
OLDEST = timedelta(days=30)


class Refused(ValueError):
    """The report is not taken, and why. `status` is what the standard calls it."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Filed:
    """A report and who made it."""

    report: Report
    contact: Contact


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form; of one that comes twice the last. Raises Refused."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=False, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Refused(f"the form cannot be read as UTF-8 of at most {MOST_FIELDS} fields: {error}") from None
    for name, value in pairs:
        if UNKEPT.search(value) or UNKEPT.search(name):
            raise Refused(f"{UNKEPT.sub('?', name)[:60]} holds control characters, which are no text")
    return dict(pairs)


def filed(form: Form, taxonomy: Taxonomy, *, sender: str, now: datetime) -> Filed:
    """What a form reports. Raises Refused."""
    words = {name: _text(form, name, most) for name, most in LENGTHS.items()}
    code = form.get("service_code")
    if code is None:
        raise Refused("service_code was not provided")
    if code not in taxonomy.by_code:
        raise Refused(f"service_code {code[:20]!r} is no matter of /services", 404)
    lat, lon = _position(form)
    report = Report(
        id=PREFIX + secrets.token_hex(12),
        token=secrets.token_hex(16),
        matter=code,
        at=now,
        seen_at=_seen_at(form, now),
        lat=lat,
        lon=lon,
        accuracy_m=_accuracy(form),
        sender=sender,
        description=words["description"],
        address=words["address_string"],
        media_url=_link(words["media_url"]),
    )
    contact = Contact(**{name: words[name] for name in Contact.__dataclass_fields__})
    # A millisecond is what is kept of a time: the report is the same when it is read again.
    return Filed(replace(report, at=_whole(report.at), seen_at=_whole(report.seen_at)), contact)


def _text(form: Form, name: str, most: int) -> str | None:
    text = form.get(name, "").strip()
    if len(text) > most:
        raise Refused(f"{name} is longer than {most} characters")
    return text or None


def _position(form: Form) -> tuple[float, float]:
    """Of the thing, in WGS-84. An address alone places nothing: there is no gazetteer here."""
    if "lat" not in form or "long" not in form:
        raise Refused("lat and long are required: an address alone cannot be placed")
    lat, lon = _number(form, "lat", -85.0, 85.0), _number(form, "long", -180.0, 180.0)
    if lat == 0 and lon == 0:
        raise Refused("lat and long are 0, 0: that is no position")
    datum = form.get("attribute[datum]", "WGS84")
    if datum not in DATUMS:
        raise Refused(f"attribute[datum] is one of {', '.join(DATUMS)}")
    if datum == "GCJ02":
        moved_lat, moved_lon = wgs84_from_gcj02(lat, lon)
        lat, lon = float(moved_lat), float(moved_lon)
    return round(lat, 7), round(lon, 7)


def _accuracy(form: Form) -> float:
    """Nobody points more exactly than LEAST_ACCURACY_M, whatever a telephone says of itself."""
    if "attribute[accuracy_m]" not in form:
        return ACCURACY_M
    return max(LEAST_ACCURACY_M, _number(form, "attribute[accuracy_m]", 0.0, MOST_ACCURACY_M))


def _seen_at(form: Form, now: datetime) -> datetime:
    text = form.get("attribute[seen_at]")
    if text is None:
        return now
    try:
        at = parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise Refused("attribute[seen_at] is no time like 2026-11-20T12:00:00+08:00") from None
    if not now - OLDEST <= at <= now + AHEAD:
        raise Refused(f"attribute[seen_at] lies ahead, or more than {OLDEST.days} days back")
    return min(at, now)


def _number(form: Form, name: str, low: float, high: float) -> float:
    try:
        value = float(form[name])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise Refused(f"{name} is a number from {low:g} to {high:g}")
    return value


def _link(text: str | None) -> str | None:
    try:
        parts = urlsplit(text or "")
        good = text is None or (parts.scheme in ("http", "https") and bool(parts.hostname))
    except ValueError:
        good = False
    if not good:
        raise Refused("media_url is no http or https address")
    return text


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
