"""Classes of reasons: a sentence that says why something was refused names values; a label of a metric must not."""

from __future__ import annotations

import re

OTHER = "other"
# The first that matches is the class. Sentences are those of ingest, vision and dispatcher.
TABLE = {
    "type": r"^type ",  # of another kind or major version
    "envelope": r"^(header|specversion|content-type) |CloudEvent|^envelope lacks|^not (a )?JSON|not UTF-8",
    "camera": r"^camera ",  # whose mounting nobody described
    "matter": r"^matter ",
    "time": r"\btime\b|^(seen|started|ended)_at|^ce_(fix)?time",
    "position": r"\b(position|fix|lat|lon|speed|speed_mps|heading|heading_deg|accuracy|accuracy_m|track)\b|covariance"
    r"|^ce_(lat|lon|speedmps|headingdeg|accuracym)",
    "picture": r"\b(JPEG|picture|file|decoded|pixels)\b",
    "size": r"\bbytes\b",
    "field": r" (must be|is no|is not|is missing|is outside)|^looked|: ",
}
CLASSES = (*TABLE, OTHER)
_COMPILED = [(name, re.compile(pattern)) for name, pattern in TABLE.items()]


def reason_class(reason: str) -> str:
    """The class of a reason: one of CLASSES, however many different values the sentences name."""
    return next((name for name, pattern in _COMPILED if pattern.search(reason)), OTHER)
