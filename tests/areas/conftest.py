"""Stores of both kinds."""

from __future__ import annotations

from postgres import postgresql, store_url  # noqa: F401  # fixtures
