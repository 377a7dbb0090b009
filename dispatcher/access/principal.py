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


class Reach(StrEnum):
    """What the key of a machine reaches, whatever its role would allow."""

    READ = "read"  # cases, events, areas, counts
    EVIDENCE = "evidence"  # pictures
    ACT = "act"  # actions on cases
    OPEN311 = "open311"  # reports of citizens: sending them, and what becomes of them
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a machine that has shown who it is."""

    id: str  # what the audit log names: "user:li", "key:…", "local"
    name: str
    role: Role
    areas: frozenset[str] | None  # area codes that are theirs, with all that lies below them; None is every area
    reach: frozenset[Reach] | None = None  # None is whatever the role may

    def at_least(self, role: Role) -> bool:
        ranks = list(Role)
        return ranks.index(self.role) >= ranks.index(role)

    def reaches(self, reach: Reach) -> bool:
        return self.reach is None or reach in self.reach


# Whoever may start the program on this machine: commands of the shell, and a console on loopback without accounts.
LOCAL = Principal("local", "本机", Role.ADMIN, None)
