"""The command `jiexun`: where each of its commands is. A module is imported when its command is asked for.

A publisher needs no database and a dispatcher no detector; importing everything takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

PLACES = {  # in the order of `jiexun --help`
    "settings": "jiexun.upkeep:print_settings",
    "backup": "jiexun.upkeep:backup",
    "restore": "jiexun.upkeep:restore",
    "rebuild": "jiexun.upkeep:rebuild",
    "expire": "jiexun.retention:expire",
    "erase": "jiexun.erase:erase",
    "calibrate": "jiexun.calibrate:calibrate",
    "publish": "jiexun.transport:publish",
    "worker": "jiexun.worker:worker",
    "dispatch": "jiexun.dispatch:dispatch",
    "deliver": "jiexun.deliver:deliver",
    "demo": "jiexun.demo:demo",
    "replay": "jiexun.replay:replay",
    "detect": "jiexun.pictures:detect",
    "evaluate": "jiexun.pictures:evaluate",
    "serve": "jiexun.serve:serve_command",
    "doctor": "jiexun.doctor:doctor",
    "cases": "jiexun.cases:cases_app",
    "areas": "jiexun.areas:areas_app",
    "bench": "jiexun.bench:bench_app",
    "topics": "jiexun.transport:topics_app",
    "channels": "jiexun.channels:channels_app",
    "deadletter": "jiexun.transport:deadletter_app",
    "users": "jiexun.accounts:users_app",
    "keys": "jiexun.accounts:keys_app",
    "work": "jiexun.desk:work_app",
    "audit": "jiexun.desk:audit_app",
}


class Commands(MutableMapping[str, Any]):
    """Commands and groups by name, each imported when it is taken out."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = made(name, self._places[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def made(name: str, place: str) -> Any:
    """The command or group of that name that `module:attribute` describes."""
    module, attribute = place.split(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name)(found)
    return get_command(alone)


COMMANDS = Commands(PLACES)


class Jiexun(TyperGroup):
    """The commands of the table."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = COMMANDS


app = typer.Typer(
    name="jiexun",
    cls=Jiexun,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="街巡 Jiexun: street disorder seen by the cameras that already drive a city, told to the office that owns it.",
)


@app.callback()
def nothing() -> None:
    """A group without a callback and without commands of its own is none to typer."""


def main() -> None:
    """Entry point."""
    try:
        app()
    except BrokenPipeError:  # `jiexun … | head`
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
