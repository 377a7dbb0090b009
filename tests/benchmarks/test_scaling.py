"""docs/scaling.md says what the measured figures and its own formulas give."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.machine import read_result
from benchmarks.scaling import PAGE, Row, computed, main, rows, shown

TEXT = PAGE.read_text(encoding="utf-8")
TABLE = rows(TEXT)


@pytest.mark.parametrize("row", TABLE, ids=[row.symbol for row in TABLE])
def test_a_value_on_the_page_follows_from_the_figures(row: Row) -> None:
    assert row.value == shown(computed(TABLE)[row.symbol])


def test_the_page_begins_with_a_city_of_36_000_vehicles() -> None:
    values = computed(TABLE)
    assert values["V"] == 36_000
    assert values["F"] == 3_600  # one frame in ten seconds each
    measured = read_result("stream")
    assert values["B"] == pytest.approx(3_600 * measured["frame_bytes"] / 1e6)
    workers = 3_600 / (measured["fps"]["stream"] * 0.7)
    assert 0 <= values["W"] - workers < 1
    assert values["C"] == values["W"] * measured["cores"]
    dispatchers = read_result("city")["dispatcher_core_share"] * 36_000 / 5_000 / 0.7
    assert 0 <= values["X"] - dispatchers < 1


def test_symbols_are_named_once_and_formulas_use_those_above() -> None:
    symbols = [row.symbol for row in TABLE]
    assert len(set(symbols)) == len(symbols) > 30


def test_a_reader_puts_in_other_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["V=1000", "r=1"])
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert lines["F"] == "1,000"


def test_a_symbol_that_the_page_lacks_is_refused() -> None:
    with pytest.raises(SystemExit, match="no symbol Zz"):
        main(["Zz=1"])


VALUES = [(0, "0"), (0.0123, "0.0123"), (0.5, "0.5"), (7.256, "7.26"), (22.0, "22"), (45.678, "45.7"), (3600, "3,600")]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_numbers_are_written_with_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("source", ["__import__('os')", "x * 2", "V ** 9", "V if V else V"])
def test_what_is_no_formula_is_refused(source: str) -> None:
    table = [Row(0, "V", "vehicles", "given", "3"), Row(1, "y", "", source, "")]
    with pytest.raises(ValueError, match="not a formula"):
        computed(table)
