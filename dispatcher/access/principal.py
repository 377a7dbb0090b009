"""Principal: on whose behalf a request is answered, and which areas and actions are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a principal may do; each may do what the one before may."""

    VIEWER = "viewer"
    OFFICER = "officer"  # acknowledges, hands back, reports as handled
    DISPATCHER = "dispatcher"  # dispatches, dismisses, merges and splits
    ADMIN = "admin"  # accounts, keys, channels, rosters and policies


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a machine that has shown who it is."""

    id: str  # what the audit log names: "user:li", "key:…", "local"
    name: str
    role: Role
    areas: frozenset[str] | None  # area codes that are theirs, with all that lies below them; None is every area

    def at_least(self, role: Role) -> bool:
        ranks = list(Role)
        return ranks.index(self.role) >= ranks.index(role)


# Whoever may start the program on this machine: commands of the shell, and a console on loopback without accounts.
LOCAL = Principal("local", "本机", Role.ADMIN, None)
