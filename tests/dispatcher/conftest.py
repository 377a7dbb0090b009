"""The street in Futian, and a store of either kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from futian import areas, areas_file, make_case, make_event, make_input, store  # noqa: F401  # fixtures

from dispatcher.area import Areas, read_areas


@pytest.fixture(scope="session")
def sample_areas() -> Areas:
    return read_areas(Path(__file__).parents[2] / "datasets" / "sample" / "areas.geojson")[0]


@pytest.fixture
def url(store_url: str) -> str:
    """A database of either kind, without anything in its tables."""
    return store_url
