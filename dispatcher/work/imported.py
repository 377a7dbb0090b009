"""Importing a page of local data: the desk works by it at once, and the case engine from its next input on."""

from __future__ import annotations

from datetime import datetime

from dispatcher.store import work as log
from dispatcher.store.store import Store
from dispatcher.work.book import Book, Page
from dispatcher.work.rules import PAGES, Rules
from ingest.frame import rfc3339


def imported(store: Store, page: Page, text: str, now: datetime) -> None:
    """Keep a page in place of the one before. Raises ValueError for one that contradicts the others."""
    with store.writing() as connection:
        texts = log.books(connection) | {str(page): text}
        Book.of(texts)
        log.keep_book(connection, page, text, rfc3339(now))
        if page in PAGES:
            store.append([Rules.of(texts).envelope(now)])
