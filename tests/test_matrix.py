"""What the tests say of the matrix is true: numbers that exist, and none both held and given up."""

from __future__ import annotations

from tests.matrix import MEASURED, NOT_RUN, all_rows, rows_in_code


def test_the_matrix_has_the_rows_it_should():
    rows = all_rows()
    assert len(rows) == len(set(rows)) == 347
    assert rows[0] == "A01"
    assert "B172" in rows
    assert "F46" in rows


def test_every_named_row_exists():
    assert set(rows_in_code()) | set(NOT_RUN) | set(MEASURED) <= set(all_rows())


def test_no_row_is_both_held_and_given_up():
    assert set(rows_in_code()) & set(NOT_RUN) == set()
    assert all(why.strip() for why in {**NOT_RUN, **MEASURED}.values())
