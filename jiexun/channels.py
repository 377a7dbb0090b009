"""Commands of `channels`: who is told through what. Addresses and secrets come on standard input, never shown again."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.table import Table

from dispatcher.alert import KEPT
from dispatcher.api.names import EVENT_ZH
from dispatcher.channels.channel import Channel, Kind, Parcel, Progress
from dispatcher.channels.courier import Courier
from dispatcher.channels.guard import Forbidden, Guard
from dispatcher.channels.outcome import Delivered
from dispatcher.channels.pace import RATES, taken, tokens
from dispatcher.channels.words import TEST
from dispatcher.document import one_line
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339
from jiexun.options import Json, StoreUrl, explained
from jiexun.purge import purge
from jiexun.report import console, warn
from jiexun.settings import Settings
from jiexun.streams import default_store, strange_areas

EVENTS = frozenset(EVENT_ZH) - {"suspected"} - KEPT  # what is told, or may be one day
TEST_TYPE = "cn.jiexun.test.v1"
KEY_BYTES = (24, 64)  # of a webhook's secret, by the spec
channels_app = typer.Typer(no_args_is_help=True, help="Who is told through what: webhooks and group robots.")
Name = Annotated[str, typer.Argument(help="The channel's name.")]


@contextmanager
def _opened(store: str | None) -> Iterator[tuple[Settings, Store]]:
    with (
        explained() as settings,
        explained_failures(),
        Store.open(store or settings.store or default_store(settings)) as opened,
    ):
        yield settings, opened


@channels_app.command("add")
def add(
    name: Name,
    kind: Annotated[Kind, typer.Option("--kind", help="What listens at the other end.")] = Kind.WEBHOOK,
    area: Annotated[
        list[str] | None, typer.Option("--area", help="Alerts told to this area or below it; may be repeated.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="Alerts of this event: opened, closed, …; may be repeated.")
    ] = None,
    mention: Annotated[
        list[str] | None,
        typer.Option("--mention", help="Mobile (WeCom, DingTalk) or open_id (Feishu) to call; may be repeated."),
    ] = None,
    page: Annotated[str, typer.Option(help="Address of the console, for links: https://city.example.")] = "",
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Make a channel; the alerts of events from now on go there. Standard input: the address, then its secret.

    One a line. A webhook without a secret gets one, which is printed once, for its receiver.

    Examples:

        jiexun channels add futian --kind wecom --area 440304 --page https://city.example < wecom.txt

        jiexun channels add platform --event opened --event closed < platform.txt
    """
    with _opened(store) as (settings, opened):
        url, secret = _given(kind)
        made = kind is Kind.WEBHOOK and not secret
        channel = Channel(
            id=secrets.token_hex(8),
            name=name,
            kind=kind,
            url=url,
            secret=_checked_secret(kind, secret or (_new_secret() if made else "")),
            recipients=tuple(area or ()),
            events=_checked_events(event or ()),
            mentions=_checked_mentions(kind, mention or ()),
            page=_checked_page(page),
            created_at=rfc3339(datetime.now(UTC)),
        )
        _check_address(settings, url)
        opened.channels.add(channel)
        if strange := strange_areas(opened, [code for code in channel.recipients if code.isdigit()]):  # no departments
            warn(
                f"no area in the store has the code {', '.join(strange)}, or lies below it: nothing of it is told here"
            )
        _tell_made(channel, channel.secret if made else None, json)


@channels_app.command("list")
def list_(store: StoreUrl = None, json: Json = False) -> None:
    """List the channels and how their deliveries stand. No address beyond its host is shown, and no secret.

    Examples:

        jiexun channels list --json
    """
    with _opened(store) as (_, opened):
        counts: dict[str, dict[str, int]] = {}
        for count in opened.deliveries.counts():
            counts.setdefault(count.channel, {})[count.state] = count.n
        told = [_told(channel) | {"deliveries": counts.get(channel.id, {})} for channel in opened.channels.all()]
    if json:
        print(one_line({"channels": told}))
        return
    table = Table(header_style="bold")
    for heading in ("name", "kind", "host", "areas", "events", "calls", "deliveries", "now"):
        table.add_column(heading, overflow="fold")
    for row in told:
        states = ", ".join(f"{n} {state}" for state, n in row["deliveries"].items())
        areas, events = (" ".join(row[key]) or "all" for key in ("areas", "events"))
        table.add_row(row["name"], row["kind"], row["host"], areas, events, str(row["mentions"]), states, row["now"])
    console.print(table)


@channels_app.command("remove")
def remove(name: Name, store: StoreUrl = None) -> None:
    """Remove a channel and forget its secrets; what still waits on it fails.

    Examples:

        jiexun channels remove futian
    """
    with _opened(store) as (_, opened):
        failed = opened.channels.remove(name, now=rfc3339(datetime.now(UTC)))
        console.print(f"{name} is removed; {failed} alerts that waited have failed")


@channels_app.command("test")
def try_(name: Name, store: StoreUrl = None, json: Json = False) -> None:
    """Send a test message through a channel now, and say what became of it.

    Examples:

        jiexun channels test futian
    """
    with _opened(store) as (settings, opened):
        channel, now = opened.channels.named(name), datetime.now(UTC)
        rate, free = RATES[channel.kind], parse_rfc3339(channel.next_free) if channel.next_free else None
        if not tokens(rate, free, now):
            raise ValueError(f"{name} has sent as much as it may: wait {rate.every_s:g} s")
        opened.channels.paced(channel.id, rfc3339(taken(rate, free, now, 1)))
        with Courier(Guard.parse(settings.channels_allow), lambda: datetime.now(UTC)) as courier:
            outcome = courier.post(channel, (_test_parcel(channel),))
        delivered, error = isinstance(outcome, Delivered), getattr(outcome, "error", "")
        if json:
            print(one_line({"channel": name, "delivered": delivered, "error": error or None}))
        else:
            console.print(f"{name}: " + ("delivered" if delivered else error), markup=False)
        if not delivered:
            raise typer.Exit(1)


@channels_app.command("rotate")
def rotate(
    name: Name,
    keep_hours: Annotated[
        float, typer.Option("--keep-hours", min=0.0, help="So long a webhook is signed with the old secret as well.")
    ] = 24.0,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Change the secret of a channel. Standard input: the new one; a webhook without one gets one, printed once.

    Examples:

        jiexun channels rotate platform --keep-hours 48 < /dev/null
    """
    with _opened(store) as (_, opened):
        channel = opened.channels.named(name)
        given = _lines()
        made = not given and channel.kind is Kind.WEBHOOK
        secret = _checked_secret(channel.kind, given[0] if given else _new_secret() if made else "")
        until = datetime.now(UTC) + timedelta(hours=keep_hours)
        changed = opened.channels.rotate(name, secret, until=rfc3339(until))
        _tell_made(changed, secret if made else None, json)


@channels_app.command("resume")
def resume(name: Name, store: StoreUrl = None) -> None:
    """Send again through a channel that was stopped (HTTP 410) or rests after failures.

    Examples:

        jiexun channels resume platform
    """
    with _opened(store) as (_, opened):
        opened.channels.start_again(name)
        console.print(f"{name} goes on")


@channels_app.command("deliveries")
def deliveries(
    channel: Annotated[str | None, typer.Option("--channel", help="Of this channel.")] = None,
    state: Annotated[Progress | None, typer.Option("--state", help="In this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """List deliveries, the last first: which alert, how far it came, how often it was tried, why it failed.

    Examples:

        jiexun channels deliveries --state unknown

        jiexun channels deliveries --channel futian --state failed --json
    """
    with _opened(store) as (_, opened):
        names = opened.channels.names()
        id = None if channel is None else opened.channels.named(channel).id
        found = [_delivery(one, names) for one in opened.deliveries.listing(state=state, channel=id, limit=limit)]
    if json:
        print(one_line({"deliveries": found}))
        return
    table = Table(header_style="bold")
    for heading in ("number", "channel", "state", "attempts", "created", "alert", "error"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(
            *(str(one[key]) for key in ("number", "channel", "state", "attempts", "created_at", "alert", "error"))
        )
    console.print(table)


@channels_app.command("resend")
def resend(
    numbers: Annotated[list[int], typer.Argument(help="As `jiexun channels deliveries` prints them.")],
    store: StoreUrl = None,
) -> None:
    """Send what failed, or whose outcome is unknown, once more: a person has seen that it did not arrive.

    Examples:

        jiexun channels resend 17 18
    """
    with _opened(store) as (_, opened):
        n = opened.deliveries.send_again(numbers, now=rfc3339(datetime.now(UTC)))
        console.print(f"{n} of {len(numbers)} are sent again")


def _lines() -> list[str]:
    """What standard input says, without empty lines."""
    return [] if sys.stdin.isatty() else [line.strip() for line in sys.stdin.read().splitlines() if line.strip()]


def _given(kind: Kind) -> tuple[str, str]:
    """Address and secret from standard input. Raises ValueError, which never quotes them."""
    given = _lines()
    if not 1 <= len(given) <= 2:
        raise ValueError("standard input must hold the address in one line, and the secret in another if there is one")
    if kind is Kind.WECOM and len(given) == 2:
        raise ValueError("a WeCom robot has no secret: its address is all")
    return given[0], given[1] if len(given) == 2 else ""


def _check_address(settings: Settings, url: str) -> None:
    """Raises ValueError for an address that will never be reached; one that does not answer now is only told."""
    try:
        Guard.parse(settings.channels_allow).check(url)
    except Forbidden:
        raise
    except OSError as error:
        warn(f"{urlsplit(url).hostname} has no address now: {error.strerror or error}")


def _checked_secret(kind: Kind, secret: str) -> str:
    if kind is not Kind.WEBHOOK:
        return secret
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except binascii.Error:
        key = b""
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        least, most = KEY_BYTES
        raise ValueError(
            f"a webhook's secret is base64 of {least} to {most} bytes, after whsec_ (give none to get one)"
        )
    return secret


def _checked_page(page: str) -> str:
    if page and urlsplit(page).scheme not in ("http", "https"):
        raise ValueError("--page is an address that begins with https://")
    return page


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _checked_events(events: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    for event in events:
        if event not in EVENTS:
            raise ValueError(f"there is no event {event!r}: {', '.join(sorted(EVENTS))}")
    return tuple(events)


def _checked_mentions(kind: Kind, mentions: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    pattern, what = (r"ou_[0-9A-Za-z]+|all", "an open_id (ou_…)") if kind is Kind.FEISHU else (r"\d{11}", "a mobile")
    if mentions and kind is Kind.WEBHOOK:
        raise ValueError("a webhook calls nobody")
    if not all(re.fullmatch(pattern, one) for one in mentions):
        raise ValueError(f"--mention takes {what} for {kind}")
    return tuple(mentions)


def _tell_made(channel: Channel, secret: str | None, json: bool) -> None:
    """A secret that was made here is told this once, on standard output."""
    if json:
        print(one_line(_told(channel) | {"secret": secret}))
    elif secret:
        console.print(f"{channel.name}: the receiver verifies with this secret, which is not shown again:")
        print(secret)
    else:
        console.print(f"{channel.name} is set")


def _told(channel: Channel) -> dict[str, Any]:
    """What may be shown of a channel."""
    now = rfc3339(datetime.now(UTC))
    rests = f"rests until {channel.held_until} after {channel.failures} failures" if channel.held_until > now else ""
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": str(channel.kind),
        "host": urlsplit(channel.url).hostname or "",
        "areas": list(channel.recipients),
        "events": list(channel.events),
        "mentions": len(channel.mentions),
        "signed": bool(channel.secret),
        "old_secret_until": channel.before_until if channel.secret_before and channel.before_until > now else None,
        "now": f"stopped: {channel.stopped}" if channel.stopped else rests,
    }


def _delivery(parcel: Parcel, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": parcel.seq,
        "channel": names.get(parcel.channel, parcel.channel),
        "alert": parcel.alert,
        "state": str(parcel.state),
        "attempts": parcel.attempts,
        "created_at": parcel.created_at,
        "next_at": parcel.next_at if parcel.state is Progress.PENDING else None,
        "ended_at": parcel.ended_at or None,
        "digest": parcel.digest or None,
        "error": parcel.error or None,
    }


def _test_parcel(channel: Channel) -> Parcel:
    """An alert that is none, and says so."""
    at = datetime.now(UTC)
    id = f"test-{secrets.token_hex(8)}"
    recipient = channel.recipients[0] if channel.recipients else "000000"
    data = {
        "case": id,
        "event": TEST,
        "recipient": recipient,
        "recipient_name": channel.name,
        "matter_zh": "渠道测试，无需处置",
    }
    envelope = Envelope(id=id, type=TEST_TYPE, source="/dispatcher", time=at, data=data)
    now = rfc3339(at)
    return Parcel(
        seq=0,
        alert=id,
        channel=channel.id,
        state=Progress.SENDING,
        attempts=0,
        created_at=now,
        next_at=now,
        ended_at="",
        error="",
        digest="",
        line=envelope.dumps(),
    )


channels_app.command("purge")(purge)
