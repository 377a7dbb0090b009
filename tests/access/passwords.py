"""What the accounts of these tests have in common."""

from __future__ import annotations

import argon2

from dispatcher.access.passwords import Passwords

PASSWORD = "correct horse battery staple"
QUICK = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))  # argon2id all the same
