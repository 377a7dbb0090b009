"""Nobody floods the desk with reports: so many an hour from one sender and of one reporter, on either kind of store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from test_open311 import FORM, PRIVATE, REQUESTS, TAXONOMY, add_key  # noqa: F401  # fixture

from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.open311.limits import Limits, TooMany
from dispatcher.open311.posted import Filed, filed
from jiexun.settings import read_settings
from vision.pictures import FolderEvidence

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
OTHER = PRIVATE | {"phone": "13900000000", "email": "other@example.com"}


def report(at: datetime, sender: str = "key:a", **more: str) -> Filed:
    return filed(FORM | more, TAXONOMY, sender=sender, now=at)


def add(store: Any, made: Filed, limits: Limits, key: str | None = None) -> str:
    return store.reports.add(made.report, made.contact, key, None, limits).report.id


def test_a_sender_is_refused_until_its_oldest_report_of_the_hour_is_an_hour_old(store) -> None:
    limits, minute = Limits(sender=3, reporter=0), timedelta(minutes=1)
    for n in range(3):
        add(store, report(NOON + n * minute), limits)
    with pytest.raises(TooMany, match="sender may make 3") as refused:
        add(store, report(NOON + 10 * minute), limits)
    assert refused.value.wait == 50 * minute
    add(store, report(NOON + 10 * minute, sender="key:b"), limits)
    add(store, report(NOON + 60 * minute), limits)
    with pytest.raises(TooMany) as refused:
        add(store, report(NOON + 60 * minute), limits)
    assert refused.value.wait == minute


def test_a_reporter_is_known_by_what_the_sender_says_of_it(store) -> None:
    limits = Limits(sender=0, reporter=1)
    for who in ({"phone": "1"}, {"phone": "2"}, {"device_id": "1"}, {"account_id": "1", "phone": "1"}):
        add(store, report(NOON, **who), limits)
    add(store, report(NOON, "key:b", phone="1"), limits)  # another sender may mean somebody else by it
    for _ in range(3):
        add(store, report(NOON), limits)  # nobody is named: that is the sender's to answer for
    for who in ({"phone": "1", "email": "new@example.com"}, {"account_id": "1", "device_id": "9"}):
        with pytest.raises(TooMany, match="reporter may make 1"):
            add(store, report(NOON, **who), limits)


def test_a_repeat_under_one_key_is_answered_as_before_and_a_refused_report_is_not_kept(store) -> None:
    limits = Limits(sender=1, reporter=1)
    first = add(store, report(NOON), limits, "k")
    assert add(store, report(NOON), limits, "k") == first
    late = report(NOON)
    with pytest.raises(TooMany):
        add(store, late, limits, "k2")
    assert store.reports.find(late.report.id, "key:a") is None
    assert add(store, replace(late), Limits(sender=0, reporter=0), "k2") == late.report.id


@pytest.mark.parametrize("form", ["json", "xml"])
def test_over_http_it_is_a_429_in_the_standard_s_form_that_says_when_to_come_again(
    store,
    areas,
    tmp_path,
    add_key,  # noqa: F811
    form,
) -> None:
    app = create_app(store, areas, evidence=FolderEvidence(tmp_path), limits=Limits(sender=2, reporter=1))
    headers = {"authorization": f"Bearer {add_key()}"}
    with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, headers=headers, trust_env=False) as client:
        address = REQUESTS.replace("json", form)
        statuses = [client.post(address, data=FORM | who).status_code for who in (PRIVATE, PRIVATE, OTHER)]
        assert statuses == [200, 429, 200]
        answer = client.post(address, data=FORM)
        assert answer.status_code == 429
        assert 3500 < int(answer.headers["retry-after"]) <= 3600
        assert "this sender may make 2 reports an hour" in answer.text
        if form == "json":
            assert answer.json()[0]["code"] == 429
        elsewhere = {"authorization": f"Bearer {add_key()}"}
        assert client.post(address, data=FORM, headers=elsewhere).status_code == 200


def test_the_limits_are_settings() -> None:
    read = read_settings({"JIEXUN_REPORTS_PER_SENDER": "0", "JIEXUN_REPORTS_PER_REPORTER": "5"})
    assert (read.reports_per_sender, read.reports_per_reporter) == (0, 5)
    with pytest.raises(ValueError, match="JIEXUN_REPORTS_PER_SENDER"):
        read_settings({"JIEXUN_REPORTS_PER_SENDER": "-1"})
