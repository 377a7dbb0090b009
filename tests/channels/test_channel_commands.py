"""`jiexun channels` and `jiexun deliver` as people use them: secrets go in, and never come out again."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import standardwebhooks
from alerts import WEST, make_event, tell
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from benchmarks.outbox import main as outbox
from benchmarks.receivers import DingTalkRobot, Machine, Server
from dispatcher.channels.channel import Progress
from dispatcher.work.step import RULES
from ingest.watch import Unwatched
from jiexun.cli import app
from jiexun.deliver import DeliveryMetrics
from jiexun.live import SAMPLE

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`jiexun channels …`: (exit status, standard output, standard error)."""
    monkeypatch.setenv("JIEXUN_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("JIEXUN_DATA", str(tmp_path))
    monkeypatch.setenv("JIEXUN_CHANNELS_ALLOW", "127.0.0.0/8")

    def run(*words: str, given: str = "") -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(words), input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def document(out: str) -> Any:
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.mark.parametrize(
    "event", sorted({rule.event for rule in RULES.values() if rule.event} | {"opened", "verified"})
)
def test_a_channel_may_be_bound_to_any_event_of_a_case(run, event) -> None:
    code, _, err = run("channels", "add", "city", "--event", event, given="http://127.0.0.1:1/hook\n")
    assert code == 0, err


def test_an_area_that_nobody_knows_is_said(run, store) -> None:
    given = "http://127.0.0.1:1/hook\n"
    assert "no area" not in run("channels", "add", "early", "--area", "440399", given=given)[2]  # none are kept yet
    store.keep_areas((SAMPLE / "areas.geojson").read_text(encoding="utf8"))
    for code in ("440300", "440304", "440304004", "440304-cgj"):
        assert "no area" not in run("channels", "add", code, "--area", code, given=given)[2]
    code, _, err = run("channels", "add", "slip", "--area", "440399", given=given)
    assert (code, "no area in the store has the code 440399" in " ".join(err.split())) == (0, True)


def test_a_webhook_is_made_with_a_secret_told_once_and_delivers(run, receiver, machine, store) -> None:
    code, out, err = run("channels", "add", "city", "--event", "opened", given=f"{receiver.url}/hook?token=HIDDEN\n")
    assert code == 0, err
    machine.secret = out.strip()
    assert standardwebhooks.Webhook(machine.secret)
    tell(store, make_event(1), make_event(2, "closed"))
    code, _, err = run("deliver", "--until-idle", "0.3")
    assert code == 0, err
    assert list(machine.handled) == [f"alert-case-1:opened-{WEST}"]
    told = document(run("channels", "list", "--json")[1])["channels"]
    assert [(c["name"], c["host"], c["deliveries"]) for c in told] == [("city", "127.0.0.1", {"delivered": 1})]
    shown = "".join("".join(map(str, run("channels", *words))) for words in (("list",), ("list", "--json")))
    shown += "".join(map(str, run("channels", "deliveries"))) + "".join(
        map(str, run("channels", "deliveries", "--json"))
    )
    assert "HIDDEN" not in shown
    assert machine.secret not in shown


def test_a_test_message_is_sent_now_and_a_failure_is_status_1(run) -> None:
    robot = DingTalkRobot("SECx")
    with Server(robot) as server:
        address = f"{server.url}/robot/send?access_token=HIDDEN"
        assert run("channels", "add", "group", "--kind", "dingtalk", given=f"{address}\nSECx\n")[0] == 0
        code, out, err = run("channels", "test", "group", "--json")
        assert (code, document(out)["delivered"]) == (0, True)
        assert "渠道测试，无需处置" in robot.messages[0]["markdown"]["text"]
        assert "【测试】" in robot.messages[0]["markdown"]["title"]
    code, out, err = run("channels", "test", "group")
    assert code == 1
    assert "no connection" in err
    assert "HIDDEN" not in out + err


def test_test_messages_count_for_the_rate(run) -> None:
    robot = DingTalkRobot()
    with Server(robot) as server:
        run("channels", "add", "g", "--kind", "dingtalk", given=f"{server.url}/robot/send?access_token=x")
        codes = [run("channels", "test", "g")[0] for _ in range(12)]
    assert codes[:8] == [0] * 8
    assert codes[-1] == 1
    assert robot.refused.total() == 0


def test_a_rotated_secret_signs_beside_the_old_one(run, receiver, machine) -> None:
    old = run("channels", "add", "city", given=receiver.url)[1].strip()
    new = run("channels", "rotate", "city", given="")[1].strip()
    assert new != old
    for machine.secret in (old, new):
        assert run("channels", "test", "city")[0] == 0
    assert document(run("channels", "list", "--json")[1])["channels"][0]["old_secret_until"] is not None


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        ((), "", "standard input must hold"),
        (("--page", "javascript:alert(1)"), "http://127.0.0.1/HIDDEN", "--page is an address"),
        ((), "https://a.example\ns\nx\n", "standard input must hold"),
        ((), "https://10.0.0.1/HIDDEN", "JIEXUN_CHANNELS_ALLOW"),
        ((), "http://127.0.0.1/HIDDEN\nwhsec_c2hvcnQ=\n", "24 to 64 bytes"),
        (("--event", "exploded"), "http://127.0.0.1/HIDDEN", "no event 'exploded'"),
        (("--mention", "13800001111"), "http://127.0.0.1/HIDDEN", "calls nobody"),
        (("--kind", "feishu", "--mention", "13800001111"), "http://127.0.0.1/HIDDEN", "open_id"),
        (("--kind", "wecom", "--mention", "li"), "http://127.0.0.1/HIDDEN", "a mobile"),
        (("--kind", "wecom"), "http://127.0.0.1/HIDDEN\nsecret\n", "no secret"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_with_a_sentence(run, words, given, said) -> None:
    code, out, err = run("channels", "add", "x", *words, given=given)
    assert (code, out) == (1, "")
    assert said in re.sub(r"\s+", " ", err)
    assert "HIDDEN" not in err


def test_unknown_names_are_said_and_removed_channels_are_gone(run) -> None:
    assert run("channels", "remove", "x")[0] == 1
    assert run("channels", "add", "x", given="http://127.0.0.1:9/")[0] == 0
    assert run("channels", "add", "x", given="http://127.0.0.1:9/")[0] == 1
    assert run("channels", "resume", "x")[0] == 0
    assert run("channels", "remove", "x")[0] == 0
    assert document(run("channels", "list", "--json")[1]) == {"channels": []}


def test_what_is_unknown_is_listed_and_sent_again_when_a_person_says_so(run, store) -> None:
    robot = DingTalkRobot()
    with Server(lambda request: (robot(request), (0, {}, b""))[1]) as server:
        run("channels", "add", "g", "--kind", "dingtalk", given=f"{server.url}/robot/send?access_token=x")
        tell(store, make_event(1))
        assert run("deliver", "--until-idle", "0.3")[0] == 0
        (one,) = document(run("channels", "deliveries", "--state", "unknown", "--channel", "g", "--json")[1])[
            "deliveries"
        ]
        assert one["attempts"] == 1
        server.answer = robot
        assert run("channels", "resend", str(one["number"]))[0] == 0
        assert run("deliver", "--until-idle", "0.3")[0] == 0
    assert [one.state for one in store.deliveries.listing()] == [Progress.DELIVERED]


def test_no_log_names_an_address_at_any_level(run, receiver, machine, store, caplog) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").setLevel(logging.NOTSET)
        machine.secret = run("channels", "add", "city", given=f"{receiver.url}/hook?token=HIDDEN")[1].strip()
        tell(store, make_event(1))
        assert run("deliver", "--until-idle", "0.3")[0] == 0
    assert machine.handled.total() == 1
    assert "HIDDEN" not in caplog.text
    assert machine.secret not in caplog.text


def test_deliveries_are_counted_for_prometheus(run, store, tmp_path, free_port, monkeypatch) -> None:
    machine = Machine("")
    with Server(machine) as server:
        machine.secret = run("channels", "add", "city", given=server.url)[1].strip()
        tell(store, make_event(1), make_event(2))
        seen: list[str] = []

        def scraping(request):
            seen.append(httpx.get(f"http://127.0.0.1:{free_port}/metrics", trust_env=False).text)
            return machine(request)

        server.answer = scraping
        assert run("deliver", "--until-idle", "0.3", "--metrics-port", str(free_port))[0] == 0
    assert 'jiexun_deliveries{channel="city",kind="webhook",state="sending"} 2.0' in seen[0]
    assert 'jiexun_channel_stopped{channel="city"} 0.0' in seen[0]
    assert 'jiexun_delivery_attempts_total{kind="dingtalk",outcome="unknown"} 0.0' in seen[0]


def test_every_end_of_an_alert_is_counted_once() -> None:
    from alerts import make_channel

    registry = CollectorRegistry()
    metrics = DeliveryMetrics(registry, Unwatched())
    channel = make_channel("https://a.example")
    metrics.attempted(channel, "delivered", 3, 0.1)
    metrics.ended(channel, Progress.DIGESTED, 3, 2.0)
    metrics.ended(channel, Progress.FAILED, 1, 9.0)
    value = registry.get_sample_value
    assert value("jiexun_delivery_attempts_total", {"kind": "webhook", "outcome": "delivered"}) == 1
    assert value("jiexun_delivery_alerts_total", {"kind": "webhook", "state": "digested"}) == 3
    assert value("jiexun_event_to_delivery_seconds_count", {"kind": "webhook"}) == 1


def test_bench_outbox_kills_both_processes_and_finds_everything_handled_once(capsys) -> None:
    outbox(seed=3, events=60, kills=2, a_kill_s=0.3, json=True)
    out = capsys.readouterr().out
    found = document(out)
    assert (found["benchmark"], found["seed"], found["kills"], found["events"]) == ("outbox", 3, 2, 60)
    assert (found["missing"], found["repeated"], found["unexpected"]) == (0, 0, 0)
    assert found["redelivered"] >= 0
    assert sum(found["killed"].values()) == 2
    assert found["alerts"] > 60  # some lie on a border
    assert set(found["ways"]) == {"webhooks", "topic", "console"}
