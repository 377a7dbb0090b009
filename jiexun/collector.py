"""Collector: how often Python looks for objects that only refer to each other.

A dispatcher's batch keeps many objects until it is stored, and its engine far more for ever. Python's own habit is to
look at the young ones for every 700 that are made; that took a fifth of the loop's time, and hardly finds anything.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 100_000  # objects made, beyond those let go, before it looks: some ten megabytes


@contextmanager
def seldom() -> Iterator[None]:
    """It looks seldom while the block lasts, and not at what is there already: enter it when a history is read."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
