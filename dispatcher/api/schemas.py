"""What the HTTP API answers. The only file with pydantic in it.

A case has the fields of WIRE.md and, for people, the names that belong to its codes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel

from dispatcher.api.names import EVENT_ZH, Names, state_zh
from dispatcher.open311.report import PREFIX
from dispatcher.store.rows import Document, Listing, StoredCase, StoredEvent, Summary
from ingest.frame import rfc3339
from vision.sighting import Sighting

EVIDENCE_NAME = re.compile(r"[0-9a-f]{32,128}\.(jpg|jpeg|png|webp)")  # hash of the content, in hex


class Ellipse(BaseModel):
    """One standard deviation of a position."""

    major_m: float  # half axis in the direction where the position is least certain
    minor_m: float
    bearing_deg: float  # of the major axis, clockwise from north, in [0, 180)

    @classmethod
    def of(cls, covariance_m2: list[float]) -> Self:
        """From (east-east, east-north, north-north) in m²."""
        ee, en, nn = covariance_m2
        mean, spread = (ee + nn) / 2, math.hypot((ee - nn) / 2, en)
        counter_clockwise_from_east = math.degrees(math.atan2(2 * en, ee - nn)) / 2
        return cls(
            major_m=math.sqrt(mean + spread),
            minor_m=math.sqrt(max(0.0, mean - spread)),
            bearing_deg=(90.0 - counter_clockwise_from_east) % 180.0,
        )


class EvidenceOut(BaseModel):
    """The picture of a case, or why there is none. `url` is relative to the page."""

    url: str | None
    sha256: str | None
    box_xyxy: list[int] | None  # pixels of that picture
    missing: str | None

    @classmethod
    def of(cls, evidence: Document | None) -> Self:
        found = evidence or {"missing": "not-recorded"}
        uri = found.get("uri")
        usable = isinstance(uri, str) and EVIDENCE_NAME.fullmatch(uri) is not None
        elsewhere = "stored-elsewhere" if uri is not None and not usable else None
        return cls(
            url=f"evidence/{uri}" if usable else None,
            sha256=found.get("sha256"),
            box_xyxy=found.get("box_xyxy"),
            missing=found.get("missing") or elsewhere,
        )


class OwnerOut(BaseModel):
    area: str
    name: str
    path: str  # "福田区 / 莲花街道 / 彩田社区"
    p: float


class AlertOut(BaseModel):
    recipient: str
    name: str
    event: str
    event_zh: str
    at: str


class CaseOut(BaseModel):
    """A case as it stood after event `seq`."""

    id: str
    kind: str
    kind_zh: str
    matter: str
    matter_zh: str
    matter_en: str
    state: str
    state_zh: str
    lat: float  # WGS-84 degrees
    lon: float
    covariance_m2: list[float]
    ellipse: Ellipse
    error_m: float  # 1 sigma in the least certain direction
    probability: float
    confidence: float
    opened_at: str | None
    closed_at: str | None
    first_seen_at: str
    last_seen_at: str
    episode: int
    previous: str | None
    merged_into: str | None = None  # the case that goes on with it
    sightings: list[str]
    passes: int
    area: str | None  # the owner; None: unowned
    area_path: str | None
    owners: list[OwnerOut]
    unowned_p: float  # what the owners leave
    alerts: list[AlertOut]
    evidence: EvidenceOut
    due_at: str | None  # until when it has to be reported as handled; null while no clock runs, and in live events
    overdue: bool | None  # whether it was not, or is not yet, reported in time; null in live events
    priority: float | None = (
        None  # 1, or the weight of its campaign; null while no office works on it, and in live events
    )
    seq: int
    raised: int  # seq of the event that orders the list

    @classmethod
    def of(cls, stored: StoredCase, names: Names, overdue: bool | None = None) -> Self:
        """`overdue`: where it was found out already; None: it is asked of this moment."""
        document, due = stored.document, stored.due
        matter_zh, matter_en = names.matter(document["matter"])
        ellipse = Ellipse.of(document["covariance_m2"])
        same = {name: document[name] for name in _SAME if name in document}
        return cls(
            **same,
            kind_zh=names.taxonomy.name_zh(document["kind"]),
            matter_zh=matter_zh,
            matter_en=matter_en,
            state_zh="已并案" if document.get("merged_into") else state_zh(document["state"]),
            ellipse=ellipse,
            error_m=ellipse.major_m,
            area=stored.area,
            area_path=None if stored.area is None else names.areas.path(stored.area),
            owners=[_owner(share, names) for share in document["owners"]],
            unowned_p=max(0.0, 1.0 - math.fsum(share["p"] for share in document["owners"])),
            alerts=[_alert(alert, names) for alert in document["alerts"]],
            evidence=EvidenceOut.of(document["evidence"]),
            due_at=None if due is None else due.at,
            priority=None if due is None else due.priority,
            overdue=due.overdue(rfc3339(datetime.now(UTC))) if due is not None and overdue is None else overdue,
            seq=stored.updated,
            raised=stored.raised,
        )


_MADE = {"ellipse", "error_m", "area", "area_path", "owners", "unowned_p", "alerts", "evidence", "seq", "raised"}
_MADE |= {"due_at", "overdue", "priority"}
_SAME = tuple(name for name in CaseOut.model_fields if name not in _MADE)


class EventOut(BaseModel):
    """One entry of the event log, without the case."""

    seq: int
    id: str
    case: str
    event: str
    event_zh: str
    at: str
    recipients: list[OwnerName]
    state: str
    state_zh: str
    probability: float
    lat: float
    lon: float
    passes: int

    @classmethod
    def of(cls, event: StoredEvent, names: Names) -> Self:
        document = event.document
        return cls(
            seq=event.seq,
            id=event.id,
            case=event.case,
            event=event.event,
            event_zh=EVENT_ZH.get(event.event, event.event),
            at=event.at,
            recipients=[OwnerName(area=code, path=names.areas.path(code)) for code in event.recipients],
            state=document["state"],
            state_zh=state_zh(document["state"]),
            probability=document["probability"],
            lat=document["lat"],
            lon=document["lon"],
            passes=document["passes"],
        )


class OwnerName(BaseModel):
    area: str
    path: str


class CaseEventOut(BaseModel):
    """What the live stream sends: an event, and the case right after it."""

    event: EventOut
    case: CaseOut


class CaseDetailOut(BaseModel):
    case: CaseOut
    timeline: list[EventOut]  # oldest first
    areas_version: int | None  # of the areas that its owners are from; null: none was kept then


class CasesOut(BaseModel):
    """A page of a listing. Listening to `/api/events?after=<seq>` from here on misses nothing.

    A page may be shorter than asked for although there are more: `next` says so.
    """

    log: str
    seq: int
    total: int
    total_is_least: bool  # there are more than `total`: they were not counted further
    cases: list[CaseOut]
    next: str | None  # the `cursor` of the next page; null at the end

    @classmethod
    def around(cls, listing: Listing, cases: list[CaseOut]) -> Self:
        """What a page says beside its cases, and these."""
        return cls(
            log=listing.log,
            seq=listing.seq,
            total=listing.total,
            total_is_least=listing.more,
            cases=cases,
            next=cursor(listing),
        )


class SightingOut(BaseModel):
    """One of the sightings that a case is made of. Which vehicle saw it is not said."""

    id: str
    look: int  # 1, 2, … in order of time: a pass of a vehicle, which may have seen it several times, or a report
    reported: bool  # by a person
    seen_at: str
    lat: float  # WGS-84 degrees
    lon: float
    error_m: float  # 1 sigma in the least certain direction
    confidence: float
    evidence: EvidenceOut

    @classmethod
    def of(cls, sightings: list[Sighting], shown: Callable[[str], bool]) -> list[Self]:
        """In order of time. `shown` says of a picture whether whoever asks may see it."""
        ordered = sorted(sightings, key=lambda s: (s.seen_at, s.id))
        looks = {pass_id: n for n, pass_id in enumerate(dict.fromkeys(s.pass_id for s in ordered), 1)}
        return [cls._of(sighting, looks[sighting.pass_id], shown) for sighting in ordered]

    @classmethod
    def _of(cls, sighting: Sighting, look: int, shown: Callable[[str], bool]) -> Self:
        evidence = EvidenceOut.of(sighting.document()["evidence"])
        if evidence.url is not None and not shown(evidence.url.removeprefix("evidence/")):
            evidence = EvidenceOut.of({"missing": "not-shown"})
        return cls(
            id=sighting.id,
            look=look,
            reported=sighting.id.startswith(PREFIX),
            seen_at=rfc3339(sighting.seen_at),
            lat=sighting.lat,
            lon=sighting.lon,
            error_m=Ellipse.of(list(sighting.covariance_m2)).major_m,
            confidence=sighting.confidence,
            evidence=evidence,
        )


class MatterOut(BaseModel):
    code: str
    zh: str
    en: str
    code_2013: str | None
    kind: str | None


class ObjectOut(BaseModel):
    """A permanent object that is no violation."""

    kind: str
    kind_zh: str
    lat: float
    lon: float
    covariance_m2: list[float]
    sightings: list[str]


class SummaryOut(BaseModel):
    log: str
    seq: int
    total: int
    by_state: dict[str, int]
    by_matter: dict[str, int]
    by_area: dict[str, int]  # unowned cases are not in it
    unowned: int  # whatever their state
    opened_today: int
    today: str  # since when, RFC 3339
    alerts: int
    inputs: int | None  # null for those who do not see every area
    rejected: int | None

    @classmethod
    def of(cls, summary: Summary, today: str) -> Self:
        states, matters, areas = Counter[str](), Counter[str](), Counter[str | None]()
        for count in summary.counts:
            states[count.state] += count.n
            matters[count.matter] += count.n
            areas[count.area] += count.n
        return cls(
            log=summary.log,
            seq=summary.seq,
            total=states.total(),
            by_state=states,
            by_matter=matters,
            by_area={area: n for area, n in areas.items() if area is not None},
            unowned=areas[None],
            opened_today=summary.opened_since,
            today=today,
            alerts=summary.alerts,
            inputs=summary.inputs,
            rejected=summary.rejected,
        )


class Problem(BaseModel):
    """RFC 9457 problem details, the one shape of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str


class Health(BaseModel):
    status: str
    seq: int | None  # null for those who do not see every area


class MeOut(BaseModel):
    """Who is asking."""

    id: str
    name: str
    role: str
    role_zh: str
    areas: list[OwnerName] | None  # null: every area
    signed_in: bool  # with a session that can be signed out of
    password: bool  # that can be changed here: not of those whom an identity provider vouches for


class WaysOut(BaseModel):
    """How one may sign in here."""

    password: bool
    provider: str | None  # the name on the button for the identity provider


def cursor(listing: Listing) -> str | None:
    """Of the page after this one."""
    return None if listing.below is None else f"{listing.log}.{listing.below}"


def _owner(share: dict[str, Any], names: Names) -> OwnerOut:
    code = share["area"]
    return OwnerOut(area=code, name=names.areas.name(code), path=names.areas.path(code), p=share["p"])


def _alert(alert: dict[str, Any], names: Names) -> AlertOut:
    event = alert["event"]
    return AlertOut(**alert, name=names.areas.path(alert["recipient"]), event_zh=EVENT_ZH.get(event, event))
