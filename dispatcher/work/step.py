"""Steps and actions: the seven national steps of an office's work on a case, and the table of who may do what when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dispatcher.access.principal import Role
from dispatcher.case import State


class Step(StrEnum):
    """Where an office's work on a case stands. The belief in the case is another field: `dispatcher.case.State`."""

    COLLECTED = "collected"
    REGISTERED = "registered"
    DISPATCHED = "dispatched"
    HANDLING = "handling"
    REPORTED = "reported"
    CHECKED = "checked"
    EVALUATED = "evaluated"


STEP_ZH = {
    Step.COLLECTED: "信息收集",
    Step.REGISTERED: "案卷建立",
    Step.DISPATCHED: "任务派遣",
    Step.HANDLING: "任务处理",
    Step.REPORTED: "处理反馈",
    Step.CHECKED: "核查结案",
    Step.EVALUATED: "评价",
}


class Outcome(StrEnum):
    """How the work on a case ended."""

    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"  # it goes on in another case


OUTCOME_ZH = {Outcome.CLOSED: "结案", Outcome.DISMISSED: "作废", Outcome.MERGED: "并案"}


class Disposition(StrEnum):
    """Who deals with it, and how."""

    OWN = "own"
    ORDER = "order"
    ENFORCEMENT = "enforcement"


DISPOSITION_ZH = {
    Disposition.OWN: "自行处置",
    Disposition.ORDER: "派单处置",
    Disposition.ENFORCEMENT: "执法处置",
}


class Label(StrEnum):
    """Why a case was dismissed, for whoever retrains the model."""

    NOT_THERE = "not-there"
    OTHER_KIND = "other-kind"
    PERMITTED = "permitted"
    DUPLICATE = "duplicate"
    OUT_OF_SCOPE = "out-of-scope"


LABEL_ZH = {
    Label.NOT_THERE: "误报：现场没有",
    Label.OTHER_KIND: "误报：类别不对",
    Label.PERMITTED: "经许可，不违规",
    Label.DUPLICATE: "重复案件",
    Label.OUT_OF_SCOPE: "不属于城市管理范围",
}


class Act(StrEnum):
    """What can be done with a case. No person asks the desk for the last seven; `erase` is of no case."""

    ACKNOWLEDGE = "acknowledge"
    DISPATCH = "dispatch"
    HAND_BACK = "hand-back"
    CALL = "call"
    ANSWER = "answer"
    HANDLED = "handled"
    REJECT = "reject"
    CLOSE = "close"
    EVALUATE = "evaluate"
    DISMISS = "dismiss"
    PAUSE = "pause"
    RESUME = "resume"
    MERGE = "merge"
    SPLIT = "split"
    REGISTER = "register"
    ESCALATE = "escalate"
    VERIFY = "verify"
    FOUND_AGAIN = "found-again"
    MOVE = "move"
    ABSORB = "absorb"
    ERASE = "erase"


ACT_ZH = {
    Act.ACKNOWLEDGE: "签收",
    Act.DISPATCH: "派遣",
    Act.HAND_BACK: "退回",
    Act.CALL: "吹哨",
    Act.ANSWER: "报到",
    Act.HANDLED: "已处置",
    Act.REJECT: "核查不通过",
    Act.CLOSE: "核查结案",
    Act.EVALUATE: "评价",
    Act.DISMISS: "作废",
    Act.PAUSE: "挂起",
    Act.RESUME: "恢复",
    Act.MERGE: "并案",
    Act.SPLIT: "拆分",
    Act.REGISTER: "立案",
    Act.ESCALATE: "升级",
    Act.VERIFY: "复核消失",
    Act.FOUND_AGAIN: "再次发现",
    Act.MOVE: "位置修正",
    Act.ABSORB: "并入他案",
    Act.ERASE: "清除个人信息",
}
WAITING = frozenset({Step.REGISTERED, Step.DISPATCHED})  # for an office that takes it up
WORKING = WAITING | {Step.HANDLING}
UNCHECKED = WORKING | {Step.REPORTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table."""

    role: Role | None  # the least that may ask for it; None: the system alone
    sources: frozenset[Step]
    to: Step | None = None  # None: the step stays
    reason: bool = False  # it must be said why
    event: str | None = None  # what the case's events call it
    state: State | None = None  # what becomes of the belief
    outcome: Outcome | None = None
    paused: bool = False  # also while the clock stands


RULES = {
    Act.ACKNOWLEDGE: Rule(role=Role.OFFICER, sources=WAITING, to=Step.HANDLING, event="acknowledged"),
    Act.DISPATCH: Rule(role=Role.DISPATCHER, sources=WORKING, to=Step.DISPATCHED, event="dispatched"),
    Act.HAND_BACK: Rule(role=Role.OFFICER, sources=WORKING, to=Step.REGISTERED, reason=True, event="handed-back"),
    Act.CALL: Rule(role=Role.OFFICER, sources=WORKING, reason=True, event="called"),
    Act.ANSWER: Rule(role=Role.OFFICER, sources=UNCHECKED, reason=True, event="answered", paused=True),
    Act.HANDLED: Rule(role=Role.OFFICER, sources=WORKING, to=Step.REPORTED, event="handled", state=State.HANDLED),
    Act.REJECT: Rule(
        role=Role.DISPATCHER,
        sources=frozenset({Step.REPORTED}),
        to=Step.HANDLING,
        reason=True,
        event="handed-back",
        state=State.OPEN,
    ),
    Act.CLOSE: Rule(
        role=Role.DISPATCHER,
        sources=frozenset({Step.REPORTED}),
        to=Step.CHECKED,
        event="closed",
        state=State.CLOSED,
        outcome=Outcome.CLOSED,
    ),
    Act.EVALUATE: Rule(role=Role.DISPATCHER, sources=frozenset({Step.CHECKED}), to=Step.EVALUATED, event="evaluated"),
    Act.DISMISS: Rule(
        role=Role.DISPATCHER,
        sources=UNCHECKED,
        reason=True,
        event="dismissed",
        state=State.DISMISSED,
        outcome=Outcome.DISMISSED,
        paused=True,
    ),
    Act.PAUSE: Rule(role=Role.DISPATCHER, sources=WORKING, reason=True, event="paused"),
    Act.RESUME: Rule(role=Role.DISPATCHER, sources=WORKING, reason=True, event="resumed", paused=True),
    Act.MERGE: Rule(
        role=Role.DISPATCHER,
        sources=UNCHECKED | {Step.COLLECTED},
        reason=True,
        event="merged",
        state=State.DISMISSED,
        outcome=Outcome.MERGED,
        paused=True,
    ),
    Act.SPLIT: Rule(role=Role.DISPATCHER, sources=UNCHECKED, reason=True, event="split", paused=True),
    Act.REGISTER: Rule(role=None, sources=frozenset({Step.COLLECTED}), to=Step.REGISTERED),
    Act.ESCALATE: Rule(role=None, sources=WAITING, event="escalated"),
    Act.VERIFY: Rule(role=None, sources=UNCHECKED, to=Step.CHECKED, outcome=Outcome.CLOSED, paused=True),
    Act.FOUND_AGAIN: Rule(role=None, sources=frozenset({Step.REPORTED}), to=Step.HANDLING),
    Act.MOVE: Rule(role=None, sources=WAITING, paused=True),
    Act.ABSORB: Rule(role=None, sources=UNCHECKED, event="merged", paused=True),
    Act.ERASE: Rule(role=None, sources=frozenset()),  # `jiexun erase`: an entry in the log, and nothing else
}
