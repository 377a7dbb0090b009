"""Heard: what an office did with a case, as far as it decides what becomes of the case.

An office's word is no evidence: it is what the looks are there to check, and they decide by themselves.
"""

from __future__ import annotations

from typing import Final

from dispatcher.case import Alert, State
from dispatcher.joint.belief import Look, believe
from dispatcher.joint.episode import Episode
from dispatcher.joint.record import Record
from dispatcher.work.action import Action

STANDS_AT: Final = (
    0.6  # so probable by the looks since alone, a thing that was reported as handled is there all the same
)
REFUSED_S: Final = 7 * 24 * 3600.0  # so long a dismissed thing may stand there, and nobody is told of it again


def act(record: Record, action: Action, *, last: bool) -> None:
    """Take what an office did; it was told when it was done. `last`: no later episode came of the same thing.

    What is over by the looks is only told: there is nothing left to check.
    """
    record.alerts += said(action)
    over = record.state is State.CLOSED and record.ended_at is None
    if action.state is None or not last or (over and action.state is not State.DISMISSED):
        return
    first = record.seens[0]
    record.handled_at, record.ended_at, record.refused_until, record.closed_at = None, None, None, None
    record.told, record.state = True, action.state
    if action.state is State.HANDLED:
        record.handled_at = action.at
    elif action.state is State.CLOSED:
        record.ended_at = record.closed_at = max(action.at, first.sighting.seen_at)
    elif action.state is State.DISMISSED:
        record.refused_until = max(action.at.timestamp(), first.at) + REFUSED_S


def said(action: Action) -> list[Alert]:
    """To whom an action was told."""
    return [Alert(recipient, action.event, action.at) for recipient in action.recipients]


def contradicted(record: Record, piece: Episode) -> bool:
    """Whether looks since it was reported as handled say, by themselves, that it is there."""
    if record.handled_at is None:
        return False
    at = record.handled_at.timestamp()
    since: list[Look] = []
    for look in piece.looks:
        if look.time > at and (since or look.seen is not None):
            since.append(look)
    return bool(since) and believe(since, record.kind)[-1] >= STANDS_AT


def inherit(into: Record, gone: Record) -> None:
    """What was told of a case that goes on in another one, and what an office did with it, is of that one."""
    into.alerts = sorted([*into.alerts, *gone.alerts], key=lambda alert: alert.at)
    if into.refused_until is not None:  # what was refused is the same thing
        return
    if gone.refused_until is not None:
        if not into.told:  # else the refused one was but a double of what goes on
            into.refused_until, into.state, into.told = gone.refused_until, State.DISMISSED, gone.told
        return
    if gone.ended_at is not None and into.seens[-1].sighting.seen_at <= gone.ended_at:  # else it was seen since
        into.ended_at = gone.ended_at if into.ended_at is None else max(into.ended_at, gone.ended_at)
    if gone.told:
        into.told = True
        if into.state in (State.CANDIDATE, State.DISMISSED):
            into.state, into.opened_at = gone.state, gone.opened_at
    if gone.handled_at is not None and into.state in (State.OPEN, State.HANDLED):
        into.handled_at = gone.handled_at if into.handled_at is None else max(into.handled_at, gone.handled_at)
        into.state = State.HANDLED


def joined(before: Episode, after: Episode) -> Episode:
    """Two episodes that are one whatever looks say; what came to nothing after the first was over changes nothing."""
    nothing = after.opened_at is None and after.doubted
    return Episode(
        looks=[*before.looks, *after.looks],
        p=after.p,
        opened_at=before.opened_at or after.opened_at,
        closed_at=before.closed_at if nothing else after.closed_at,
        doubted=after.doubted and before.opened_at is None,
    )
