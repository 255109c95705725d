"""The table of faults says what the campaign stages, and keeps what it isn't told anew."""

from __future__ import annotations

import pytest

from tests.faults import page
from tests.faults.campaign import load_rows
from tests.faults.page import Line


def line(number: str, ends: float = 3.0, notes: str = "") -> Line:
    return Line(number, "a | fault", "It holds.", 1.04, ends, "same hash", notes, 9.0)


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "faults.md")
    return page.PAGE


def test_the_table_tells_of_faults_in_the_words_of_their_rows():
    rows = load_rows()
    for number, text in page.read_rows().items():
        cells = [cell.strip() for cell in text.strip("|").split(" | ")]
        assert cells[1:3] == [rows[number].fault, rows[number].expectation], number


def test_every_fault_says_what_must_hold_besides():
    assert [row.number for row in load_rows().values() if not row.expectation] == []


def test_lines_are_put_in_order_renewed_and_dropped_with_their_faults(written):
    for number in ("F02", "F99", "F01"):
        page.write_line(["F01", "F02", "F99"], line(number))
    page.write_line(["F01", "F02"], line("F01", notes="again"))
    assert list(page.read_rows()) == ["F01", "F02"]
    text = written.read_text()
    assert text.startswith("# Faults, staged")
    assert text.endswith("| F02 | a \\| fault | It holds. | 1.0 | 3.0 | same hash |\n")
    assert "| same hash; again |" in text


def test_times_that_mean_nothing_are_not_told():
    assert "| - | - |" in line("F26", ends=0.0).row
