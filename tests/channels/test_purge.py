"""Old deliveries are forgotten, on SQLite and on PostgreSQL: what has ended, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from alerts import make_channel, make_event, tell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from typer.testing import CliRunner

from dispatcher.channels.channel import ENDED, Progress
from dispatcher.store import deliveries as module
from dispatcher.store.channel_tables import deliveries
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from jiexun.cli import app

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BEFORE = rfc3339(NOW - timedelta(days=90))
OLD, YOUNG = rfc3339(NOW - timedelta(days=91)), rfc3339(NOW - timedelta(days=89))


def stocked(store: Store, kinds: list[tuple[Progress, str]]) -> None:
    """One delivery for each state and time of its end."""
    store.channels.add(make_channel("https://a.example"))
    tell(store, *(make_event(n) for n in range(len(kinds))))
    with store.writing() as connection:
        for n, (state, at) in enumerate(kinds, start=1):
            ended = at if state in (*ENDED, Progress.UNKNOWN) else ""
            values = {"state": str(state), "created_at": at, "next_at": at, "ended_at": ended}
            connection.execute(update(deliveries).where(deliveries.c.seq == n).values(values))


def left(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        c = deliveries.c
        return [tuple(row) for row in connection.execute(select(c.state, c.created_at).order_by(c.seq))]


@pytest.mark.parametrize("at_once", [2, 2_000])
def test_what_ended_long_ago_goes_and_what_is_to_be_sent_or_looked_at_stays(url, monkeypatch, at_once) -> None:
    monkeypatch.setattr(module, "FORGOTTEN_AT_ONCE", at_once)
    kinds = [(state, at) for at in (OLD, YOUNG, OLD) for state in Progress]
    with Store.open(url) as store:
        stocked(store, kinds)
        assert store.deliveries.purge(before=BEFORE) == dict.fromkeys(ENDED, 2)
        assert left(store) == [(state, at) for state, at in kinds if at == YOUNG or state not in ENDED]
        assert store.deliveries.purge(before=BEFORE) == dict.fromkeys(ENDED, 0)
        assert len(store.deliveries.due(store.channels.all()[0].id, rfc3339(NOW))) == 3  # still to be sent


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.tuples(st.sampled_from(Progress), st.sampled_from((OLD, YOUNG, BEFORE))), max_size=12))
def test_nothing_that_has_not_ended_is_ever_forgotten(kinds) -> None:
    with Store.open("sqlite://") as store:
        stocked(store, kinds)
        gone = store.deliveries.purge(before=BEFORE)
        assert left(store) == [(state, at) for state, at in kinds if state not in ENDED or at != OLD]
        assert sum(gone.values()) == len(kinds) - len(left(store))


def test_an_event_whose_deliveries_were_forgotten_is_told_to_nobody_again(url) -> None:
    with Store.open(url) as store:
        stocked(store, [(Progress.DELIVERED, OLD)])
        store.deliveries.purge(before=BEFORE)
        tell(store, make_event(0))  # the dispatcher reads the same records once more
        store.rebuild()
        assert left(store) == []


def test_the_command_says_what_went(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("JIEXUN_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    long_ago, lately = (rfc3339(datetime.now(UTC) - timedelta(days=n)) for n in (31, 29))
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        stocked(store, [(state, long_ago) for state in Progress] + [(Progress.DELIVERED, lately)])
        done = CliRunner().invoke(app, ["channels", "purge", "--before", "30", "--json"])
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["purged"] == {"delivered": 1, "digested": 1, "failed": 1}
        assert len(left(store)) == 4
        said = CliRunner().invoke(app, ["channels", "purge", "--before", "30"])
        assert "0 deliveries" in said.stderr
    for words in (["--before", "0"], []):
        assert CliRunner().invoke(app, ["channels", "purge", *words]).exit_code == 2
