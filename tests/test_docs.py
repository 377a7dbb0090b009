"""The docs say what the code does: commands, settings, constants, reasons, worked examples, links."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from shapely import box

from dispatcher.area import Area, Areas, Layer
from dispatcher.belief import CLOSES_AT, OPENS_AT, Look, believe, gone_since
from dispatcher.identity import GATE, distance2, fuse
from dispatcher.joint.belief import Look as JointLook
from dispatcher.joint.episode import episodes as joint_episodes
from dispatcher.owner import owners, recipients
from ingest.geo import latlon_from_offset, m_per_deg
from jiexun.cli import app
from jiexun.settings import PREFIX, Settings
from models.card import find_card
from vision.camera import Camera, picture_from_road
from vision.sighting import Sighting

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf8") for page in PAGES}
NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


def rows(page: str, columns: int) -> Iterator[list[str]]:
    """The cells of every table row with so many columns."""
    for line in TEXT[page].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == columns:
            yield cells


# Commands


def commands(group: Any, path: tuple[str, ...] = ("jiexun",)) -> Iterator[tuple[str, str]]:
    """(name as typed, help) of every command that does something."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command.help or ""


COMMANDS = dict(commands(typer.main.get_command(app)))
assert {"jiexun demo", "jiexun cases replay", "jiexun bench hotpath"} <= COMMANDS.keys()  # the walk goes deep enough


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_help_with_an_example(command: str) -> None:
    sentence, _, examples = COMMANDS[command].partition("Examples:")
    assert len(sentence.split()) >= 5
    assert f"{command}\n" in examples + "\n" or f"{command} " in examples


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_in_the_readme(command: str, page: str) -> None:
    assert re.search(rf"`{command}[` ]", TEXT[page])


@pytest.mark.parametrize("page", TEXT)
def test_a_command_that_is_shown_exists_with_its_options(page: str) -> None:
    lines = re.findall(r"`(jiexun [^`\n]+)`", TEXT[page])
    lines += re.findall(r"^\s*(?:[A-Z_]+=\S+ )*(jiexun [^#\n]+)", TEXT[page], re.MULTILINE)
    for line in lines:
        if line.startswith("jiexun bench X"):
            continue
        command = next((name for name in COMMANDS if f"{line.strip()} ".startswith(f"{name} ")), None)
        assert command is not None, line
        known = {option for parameter in parameters(command) for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def parameters(command: str) -> list[Any]:
    found: Any = typer.main.get_command(app)
    for name in command.split()[1:]:
        found = found.commands[name]
    return list(found.params)


@pytest.mark.parametrize("module", ["models.train", "models.export", "vision.calibrate"])
def test_a_module_that_the_docs_run_knows_their_options(module: str) -> None:
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf8")
    shown = re.findall(rf"python -m {module} ([^\n`]+)", TEXT["docs/models.md"])
    assert shown
    for option in re.findall(r"--[a-z0-9]+", " ".join(shown)):
        assert f'"{option}"' in source, option


@pytest.mark.parametrize("page", TEXT)
def test_a_make_target_that_is_shown_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))
    shown = re.findall(r"`make ([a-z]+)`", TEXT[page]) + re.findall(r"^\S*make ([a-z]+)", TEXT[page], re.MULTILINE)
    assert set(shown) <= targets


# Links


@pytest.mark.parametrize("page", TEXT)
def test_a_relative_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT[page])
    broken = [
        link
        for link in links
        if not re.match(r"https?://|#|mailto:", link) and not (ROOT / page).parent.joinpath(link.split("#")[0]).exists()
    ]
    assert broken == []


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    for page in DOCS:
        assert f"(docs/{page.name})" in TEXT["README.md"]
        assert f"(docs/{page.name})" in TEXT["README.zh-CN.md"]


# Settings and constants


def test_every_setting_is_documented_with_its_default() -> None:
    told = {cells[0]: cells[1] for cells in rows("docs/operations.md", 3)}
    for field in fields(Settings):
        assert told[f"`{PREFIX}{field.name.upper()}`"] == f"`{field.default}`"
    named = {name for text in TEXT.values() for name in re.findall(rf"\b{PREFIX}[A-Z0-9_]+", text)}
    assert named <= {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)}


def constants() -> Iterator[tuple[str, str, str]]:
    for page in TEXT:
        for cells in rows(page, 3):
            if re.fullmatch(r"`[a-z]+\.[a-z_.]+\.[A-Z][A-Z_]+(\[.*\])?`", cells[0]):
                yield page, cells[0].strip("`"), cells[1]


CONSTANTS = list(constants())


def test_the_constants_are_found() -> None:
    assert len(CONSTANTS) > 30


@pytest.mark.parametrize(("page", "name", "told"), CONSTANTS)
def test_a_constant_is_what_the_docs_say(page: str, name: str, told: str) -> None:
    match = re.fullmatch(r"([a-z_.]+)\.([A-Z_]+)(?:\[\"(\w+)\"\])?", name)
    assert match is not None
    module, constant, key = match.groups()
    value = getattr(importlib.import_module(module), constant)
    value = value if key is None else value[key]
    number, _, unit = told.partition(" ")
    if isinstance(value, timedelta):
        assert value == float(number) * {"s": timedelta(seconds=1), "h": timedelta(hours=1)}[unit]
    else:
        assert value == float(number) * {"h": 3600.0}.get(unit, 1.0)


# Reasons for rejection

INTERNAL = {  # our own slips, not the data's
    "the track has no fixes",
    "two fixes of the track have the same time",
    "the table has no positions",
}


def reasons() -> Iterator[tuple[str, str]]:
    """(file, longest piece of fixed text) of every refusal in what reads drives."""
    for name in ("drive", "jpeg", "plausible", "source", "table", "track", "tracklog", "video"):
        for node in ast.walk(ast.parse((ROOT / f"ingest/{name}.py").read_text(encoding="utf8"))):
            call = node.exc if isinstance(node, ast.Raise) else node
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or not call.args:
                continue
            if call is not node or call.func.id == "Rejected":
                message = call.args[0]
                for option in (message.body, message.orelse) if isinstance(message, ast.IfExp) else (message,):
                    texts = [n.value for n in ast.walk(option) if isinstance(n, ast.Constant)]
                    longest = max((str(text).strip() for text in texts), key=len, default="")
                    if len(longest) > 6 and longest not in INTERNAL:
                        yield name, longest


def test_every_reason_for_rejection_is_in_the_table() -> None:
    found = list(reasons())
    assert len(found) > 50
    text = TEXT["docs/drive.md"]
    assert [(file, reason) for file, reason in found if reason not in text] == []


# Worked examples


def test_the_worked_example_of_belief_comes_out() -> None:
    table = [cells for cells in rows("docs/cases.md", 5) if cells[0].isdigit()]
    assert len(table) == 5
    looks: list[Look] = []
    was_open = False
    for hour, told, belief, clean, state in table:
        p = float(told.split()[-1])
        seen = p if told.startswith("saw it") else None
        looks.append(Look(NOON + timedelta(hours=int(hour)), f"pass-{hour}", seen, 1.0 if seen else p))
        beliefs = believe(looks, "overflow_bin")
        assert f"{beliefs[-1]:.4f}" == belief
        assert f"{sum(look.clean for look in looks):.2f}" == clean  # none of them was seen in between
        was_open = was_open or beliefs[-1] >= OPENS_AT
        closed = was_open and gone_since(looks, beliefs) is not None
        assert state == ("closed" if closed else "open" if was_open else "candidate")
    assert beliefs[-1] <= CLOSES_AT


def test_the_worked_example_of_joint_belief_comes_out() -> None:
    table = [cells for cells in rows("docs/joint.md", 6) if cells[0].isdigit()]
    assert len(table) == 6
    looks: list[JointLook] = []
    for hour, told, shown, belief, clean, state in table:
        p = float(told.split()[-1])
        seen = p if told.startswith("saw it") else None
        looks.append(JointLook(NOON + timedelta(hours=int(hour)), f"pass-{hour}", seen, 1.0 if seen else p))
        [episode] = joint_episodes(looks, "overflow_bin")
        assert f"{episode.p:.4f}" == belief
        assert shown == ("–" if seen else f"{episode.looks[-1].detectable:.4f}")
        assert f"{sum(look.clean for look in episode.looks):.2f}" == clean
        assert state == ("closed" if episode.closed_at else "open" if episode.opened_at else "candidate")


def sighting(east_m: float) -> Sighting:
    lat, lon = latlon_from_offset(22.54, 114.05, east_m, 0.0)
    return Sighting(
        id=f"s{east_m}",
        pass_id=f"p{east_m}",
        vehicle="bus",
        camera="right",
        kind="overflow_bin",
        matter="06042",
        confidence=0.9,
        seen_at=NOON,
        lat=lat,
        lon=lon,
        covariance_m2=(4.0, 0.0, 4.0),
        shared_covariance_m2=(2.0, 0.0, 2.0),
        frames=1,
        model="m",
    )


@pytest.mark.parametrize(("apart_m", "told", "one_thing"), [(3.0, "= 0.990", True), (10.0, "= 11.0", False)])
def test_the_worked_example_of_identity_comes_out(apart_m: float, told: str, one_thing: bool) -> None:
    distance, _ = distance2(sighting(apart_m), *fuse([sighting(0.0)]))
    assert f"= {distance:#.3g}" == told
    assert told in TEXT["docs/cases.md"]
    assert (distance <= GATE) == one_thing


@pytest.mark.parametrize(
    ("inside_m", "told", "heard"),
    [(2.0, ("0.7475", "0.2525"), ["west", "east"]), (4.0, ("0.9088", "0.0912"), ["west"])],
)
def test_the_worked_example_of_ownership_comes_out(inside_m: float, told: tuple[str, str], heard: list[str]) -> None:
    west = Area("west", "西", Layer.COMMUNITY, None, box(114.04, 22.53, 114.05, 22.55))
    east = Area("east", "东", Layer.COMMUNITY, None, box(114.05, 22.53, 114.06, 22.55))
    shares = owners(Areas([west, east]), 22.54, 114.05 - inside_m / m_per_deg(22.54)[1], (9.0, 0.0, 9.0))
    assert tuple(f"{share.p:.4f}" for share in shares) == told
    assert all(number in TEXT["docs/cases.md"] for number in told)
    assert list(recipients(shares)) == heard


def test_the_bucket_stands_where_the_page_says() -> None:
    camera = Camera(hfov_deg=67.0, height_m=1.5, pitch_deg=0.0, yaw_deg=0.0)
    table = {cells[0]: cells[1] for cells in rows("docs/drive.md", 2) if re.fullmatch(r"[0-9]+ m", cells[0])}
    assert len(table) == 4
    for distance, row in table.items():
        ((_, v),) = picture_from_road(np.array([[float(distance.split()[0]), 0.0]]), (640, 480), camera)
        assert f"{v:.0f}" == row


# Numbers of the README


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_accuracy_that_is_shown_is_the_one_measured(page: str) -> None:
    blocks = ("accuracy", "accurate", "hotpath", "latency", "memory")
    marks = [mark for block in blocks for mark in (f"numbers:{block}", "/numbers")]
    assert re.findall(r"<!-- (/?numbers\S*) -->", TEXT[page]) == marks
    block = re.search(r"<!-- numbers:accuracy -->(.*?)<!-- /numbers -->", TEXT[page], re.DOTALL)
    assert block is not None
    shown = re.findall(r"^\| (\w+)[^|]*\| ([0-9.]+) \|", block.group(1), re.MULTILINE)
    measured = find_card("streetscape-v1").metrics["test"]
    expected = {kind: row["ap50"] for kind, row in measured.items() if isinstance(row, dict)}
    expected["mean"] = measured["map50"]
    assert {kind: float(number) for kind, number in shown} == {
        kind: pytest.approx(value, abs=0.00051) for kind, value in expected.items()
    }


def test_the_numbers_of_both_readmes_are_those_measured_last() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts/readme_numbers.py", "--check"], check=False)
    assert done.returncode == 0, "run `python scripts/readme_numbers.py`"


# Repository habits


def test_the_hooks_are_local_and_valid() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    assert re.findall(r"repo: (\S+)", config.read_text(encoding="utf8")) == ["local"]
    done = subprocess.run(
        [ROOT / ".venv/bin/pre-commit", "validate-config", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_licence_is_the_whole_agpl() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf8")
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 19 November 2007" in text
    assert "13. Remote Network Interaction" in text
    assert text.rstrip().endswith("<https://www.gnu.org/licenses/>.")
