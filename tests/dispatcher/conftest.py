"""The street in Futian, and a store of either kind."""

from __future__ import annotations

import pytest
from futian import areas, areas_file, make_case, make_event, make_input, store  # noqa: F401  # fixtures


@pytest.fixture
def url(store_url: str) -> str:
    """A database of either kind, without anything in its tables."""
    return store_url
