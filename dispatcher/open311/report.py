"""Report: what a person says lies where. To the case engine it is a sighting; who said it is kept apart from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339
from models.taxonomy import Taxonomy
from vision.sighting import SIGHTING_TYPE, Sighting

SOURCE = "/open311"
PREFIX = "report-"  # of the ids of reports, which are those of their sightings
BELIEVED = 0.9  # how probably the thing is there that a person took the trouble to report; a judgement
ACCURACY_M = 15.0  # 1 sigma, of a report that does not say: a pin set by hand, or a telephone between houses
LEAST_ACCURACY_M, MOST_ACCURACY_M = 3.0, 200.0


class Taking(StrEnum):
    """How far the case engine has come with a report."""

    WAITING = "waiting"
    TAKEN = "taken"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was reported, without who did. `at` is when it came, `seen_at` when it was seen."""

    id: str
    token: str
    matter: str  # 5-digit code
    at: datetime
    seen_at: datetime
    lat: float  # WGS-84 degrees
    lon: float
    accuracy_m: float  # 1 sigma
    sender: str  # the principal that passed it on
    description: str | None = None
    address: str | None = None
    media_url: str | None = None  # as it was given: nothing is fetched from there

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"at": rfc3339(self.at), "seen_at": rfc3339(self.seen_at)}

    @property
    def worded(self) -> bool:
        """Whether it says anything in words that a person chose."""
        return (self.description, self.address, self.media_url) != (None, None, None)

    def wordless(self) -> Report:
        """The same without them: they may name somebody."""
        return replace(self, description=None, address=None, media_url=None)

    def envelope(self, taxonomy: Taxonomy) -> Envelope:
        """As an input of the case engine: what, where and when, and none of its words.

        A person is a pass of one look, whose error is shared with nobody. A matter that no model sees has no kind of
        its own: then its code stands for it.
        """
        var = self.accuracy_m**2
        sighting = Sighting(
            id=self.id,
            pass_id=self.id,
            vehicle=self.id,
            camera="person",
            kind=taxonomy.by_code[self.matter].kind or self.matter,
            matter=self.matter,
            confidence=BELIEVED,
            seen_at=self.seen_at,
            lat=self.lat,
            lon=self.lon,
            covariance_m2=(var, 0.0, var),
            shared_covariance_m2=(0.0, 0.0, 0.0),
            frames=1,
            model="open311",
        )
        return Envelope(id=self.id, type=SIGHTING_TYPE, source=SOURCE, time=self.at, data=sighting.document())


def parsed_report(document: dict[str, Any]) -> Report:
    """From `Report.document`."""
    times = {name: parse_rfc3339(document[name]) for name in ("at", "seen_at")}
    return Report(**(document | times))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Who reported it. Personal data: never in a case, an event, an alert or a topic."""

    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None
    device_id: str | None = None
    account_id: str | None = None

    def document(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}
