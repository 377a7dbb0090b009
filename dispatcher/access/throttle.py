"""Throttle: how long to wait after so many wrong passwords."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Throttle:
    """The first `free` failures cost nothing; then the wait doubles with each, from one second to `longest`."""

    free: int
    longest: timedelta
    forgets: timedelta  # a subject without failure for so long starts anew

    def wait(self, failures: int) -> timedelta:
        over = failures - self.free
        return timedelta(0) if over < 0 else min(timedelta(seconds=2 ** min(over, 30)), self.longest)


# The longest wait is short enough that nobody can lock a colleague out for good.
ACCOUNT = Throttle(free=5, longest=timedelta(minutes=5), forgets=timedelta(hours=12))
ADDRESS = Throttle(free=20, longest=timedelta(minutes=15), forgets=timedelta(hours=12))  # an office shares one


def subject_of(address: str) -> str:
    """What is counted together: an IPv4 address, or the /64 that one IPv6 household has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "address:unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return f"address:{found.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((found, 64), strict=False)}"
    return f"address:{found}"
