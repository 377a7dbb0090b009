"""Stores of both kinds, and a desk on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from town import DUTY, town

from dispatcher.area import Areas
from dispatcher.store.store import Store
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from models.taxonomy import Taxonomy


@pytest.fixture(scope="session")
def areas() -> Areas:
    return town()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture
def clerk(store: Store, areas: Areas) -> Clerk:
    return Clerk(store, areas, Taxonomy.read(), Book.of({"duty": DUTY}))
