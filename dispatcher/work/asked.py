"""Asked: what a person asks to have done with a case, and why it may be refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from dispatcher.access.principal import Principal
from dispatcher.work.step import ACT_ZH, RULES, STEP_ZH, Act, Disposition, Label
from dispatcher.work.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. What an action does not need is None."""

    act: Act
    reason: str | None = None
    office: str | None = None  # to whom it is dispatched or handed back
    department: str | None = None  # that is called, or answers
    disposition: Disposition | None = None
    condition: str | None = None  # id of a filing condition
    label: Label | None = None  # why it is dismissed
    score: int | None = None  # 1 to 5
    into: str | None = None  # the case that it is merged into
    sightings: tuple[str, ...] | None = None  # that are split off

    def document(self) -> dict[str, Any]:
        """What an Idempotency-Key stands for: what came later is left out where it is not said."""
        said = {name: value for name in LATER if (value := getattr(self, name)) is not None}
        return {name: value for name, value in asdict(self).items() if name not in LATER} | said


LATER = ("into", "sightings")


class Refusal(ValueError):
    """The desk does not do what was asked, and says why. `status` is what HTTP calls it."""

    status: ClassVar[int] = 422


class NoSuchCase(Refusal):
    """There is no such case, or not for who asks."""

    status = 404


class NotAllowed(Refusal):
    """Another role may."""

    status = 403


class NotNow(Refusal):
    """Not at this step."""

    status = 409


class Stale(Refusal):
    """The work has changed since it was read."""

    status = 412


class KeyReused(Refusal):
    """The Idempotency-Key was used for something else."""

    status = 422


class Incomplete(Refusal):
    """Something is missing that this action needs."""

    status = 422


def checked(asked: Asked, work: Work, who: Principal) -> None:
    """Raises a Refusal for what the table does not allow."""
    rule = RULES[asked.act]
    name = ACT_ZH[asked.act]
    if rule.role is None or not who.at_least(rule.role):
        raise NotAllowed(f"{name}（{asked.act}）: needs the role {rule.role or 'system'}, {who.id} is {who.role}")
    refused = refusal(asked.act, work)
    if refused is not None:
        raise NotNow(f"{name}（{asked.act}）: {refused}")
    if rule.reason and not (asked.reason or "").strip():
        raise Incomplete(f"{name}（{asked.act}）: needs a reason")


def refusal(act: Act, work: Work) -> str | None:
    """Why an action cannot be done now, whoever asks; None when it can."""
    rule = RULES[act]
    if work.outcome is not None and act is not Act.EVALUATE:
        return f"the work has ended ({work.outcome})"
    if act is Act.EVALUATE and work.outcome == "dismissed":
        return "the case was dismissed"
    if work.step not in rule.sources:
        return f"not at the step {STEP_ZH[work.step]} ({work.step})"
    if work.paused_at is not None and not rule.paused:
        return "the clock stands: resume first"
    if act is Act.RESUME and work.paused_at is None:
        return "the clock runs"
    if act is Act.CLOSE and work.unanswered:
        return f"called and not answered yet: {', '.join(work.unanswered)}"
    if act is Act.ANSWER and not work.unanswered:
        return "nobody was called, or all have answered"
    return None


def allowed(work: Work, who: Principal) -> list[Act]:
    """What a principal may do with it now."""
    return [
        act
        for act, rule in RULES.items()
        if rule.role is not None and who.at_least(rule.role) and refusal(act, work) is None
    ]
