"""What people see of a run: the table of cases, the summary, warnings. Everything goes to standard error."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dispatcher.area import Areas
from dispatcher.case import STATE_ZH, Case, State
from ingest.quality import CameraHealth
from models.taxonomy import Taxonomy

if TYPE_CHECKING:
    from jiexun.pipeline import Summary  # every command reports; few need the pipeline

SHOWN_REJECTED = 20
WIDTH = 132  # columns, where the terminal does not say (a log file)
console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDTH)


def print_cases(cases: Sequence[Case], areas: Areas, taxonomy: Taxonomy, evidence: str | None) -> None:
    """One row a case, those that were told first."""
    table = Table(title="案件 cases", title_justify="left", header_style="bold", show_lines=False)
    for heading in ("案件\ncase", "事项\nmatter", "属地\nowner", "状态\nstate"):
        table.add_column(heading, overflow="fold")
    for heading in ("置信度\nbelief", "位置\nposition ± m", "目击/车次\nseen/passes"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("证据\nevidence", overflow="fold")
    order = {State.OPEN: 0, State.HANDLED: 1, State.CLOSED: 2, State.CANDIDATE: 3, State.DISMISSED: 4}
    for case in sorted(cases, key=lambda c: (order[c.state], c.first_seen_at)):
        matter = taxonomy.by_code[case.matter]
        table.add_row(
            case.id[:8],
            f"{matter.code} {matter.name}",
            owner_text(case, areas),
            STATE_ZH[case.state],
            f"{case.probability:.0%}",
            f"{case.lat:.5f},{case.lon:.5f} ±{sigma_m(case):.1f}",
            f"{len(case.sightings)}/{case.passes}",
            evidence_text(case),
            style="" if case.state is State.OPEN else "dim",
        )
    console.print(table)
    if evidence is not None:
        console.print(f"evidence pictures are in {evidence}")


def owner_text(case: Case, areas: Areas) -> str:
    """Who owns a case: the path of its most probable area, and how probable where that is a close call."""
    if not case.owners:
        return "无属地 unowned"
    best = case.owners[0]
    more = "" if best.p >= 0.95 else f" ({best.p:.0%})"
    return areas.path(best.area) + more


def sigma_m(case: Case) -> float:
    """1 sigma of the position, along its worse direction."""
    ee, en, nn = case.covariance_m2
    return math.sqrt((ee + nn) / 2 + math.hypot((ee - nn) / 2, en))


def evidence_text(case: Case) -> str:
    if case.evidence is None:
        return "—"
    return case.evidence.missing or f"{(case.evidence.uri or '')[:8]}….jpg"


def print_summary(summary: Summary, cases: Sequence[Case], objects: int, repeats: int) -> None:
    """What became of everything that went in."""
    states = Counter(str(case.state) for case in cases)
    told = sum(len(case.alerts) for case in cases)
    console.print(
        f"{summary.frames} frames looked at, {summary.left_out} left out by sampling, "
        f"{summary.dropped} dropped as unusable, "
        f"{summary.repeats + repeats} repeats, {len(summary.rejected)} rejected"
    )
    if summary.unlisted:
        console.print(f"{summary.unlisted} pictures that no row of frames.csv names")
    console.print(
        f"{summary.sightings} sightings in {summary.passes} passes → "
        + (", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "no cases")
        + f"; {told} alerts; {objects} objects"
    )
    for reason, count in sorted(summary.evidence_failures.items()):
        console.print(f"[yellow]no evidence for {count} sightings: {reason}[/]")
    for entry in summary.rejected[:SHOWN_REJECTED]:
        where = entry.file or (f"line {entry.line}" if entry.line else "")
        row = f" (row {entry.row})" if entry.row else ""
        console.print(f"[yellow]rejected[/] {where}{row}: {entry.reason}")
    if len(summary.rejected) > SHOWN_REJECTED:
        console.print(f"… and {len(summary.rejected) - SHOWN_REJECTED} more, all kept in the store")


def print_camera_health(cameras: Sequence[CameraHealth]) -> None:
    """The cameras whose pictures showed nothing, if there are any."""
    for health in cameras:
        if health.dropped:
            why = ", ".join(f"{count} {fault}" for fault, count in sorted(health.dropped.items()))
            lost = f"{sum(health.dropped.values())} of {health.frames}"
            console.print(f"[yellow]camera[/] {health.vehicle} {health.camera}: {lost} pictures show nothing ({why})")


def warn(text: str) -> None:
    console.print(f"[yellow]warning:[/] {text}", markup=True)
