"""The street in Futian that the tests of the dispatcher know, and what the accounts there have in common."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import argon2

from dispatcher.access.passwords import Passwords

_spec = importlib.util.spec_from_file_location("street", Path(__file__).parents[1] / "dispatcher" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
STREET = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(STREET)
NOON, WEST, EAST = STREET.NOON, STREET.WEST, STREET.EAST
PASSWORD = "correct horse battery staple"
QUICK = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))  # argon2id all the same
