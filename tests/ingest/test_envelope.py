"""Envelopes as one line of JSON: the very text that Python's own encoder writes, and nothing that is no JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.envelope import Envelope, dumps, parse_envelope

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
ENVELOPE = Envelope(id="e1", type="t", source="/s", time=datetime(2026, 11, 20, tzinfo=UTC), data={"街": [1.5, None]})


@given(VALUES)
def test_a_value_is_written_as_python_writes_it(value: object) -> None:
    assert dumps(value) == json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_no_word_for_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dumps({"a": [number]})


@given(TEXTS.filter(bool), TEXTS.filter(bool), st.dictionaries(TEXTS, VALUES, max_size=3))
def test_an_envelope_is_a_line_that_reads_back(id: str, source: str, data: dict[str, object]) -> None:
    one = replace(ENVELOPE, id=id, source=source, data=data)
    assert "\n" not in one.line
    assert parse_envelope(one.line) == parse_envelope(b"\xef\xbb\xbf" + one.line.encode()) == one
    assert list(json.loads(one.line)) == ["specversion", "id", "type", "source", "time", "datacontenttype", "data"]


def test_what_is_made_of_an_envelope_has_a_line_of_its_own() -> None:
    assert '"e1"' in ENVELOPE.line
    assert json.loads(replace(ENVELOPE, id="e2").line)["id"] == "e2"
