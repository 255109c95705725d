"""What the tests say of the matrix is true: numbers that exist, and none both held and given up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.matrix import MEASURED, NOT_RUN, all_rows, rows_in_code
from tests.test_docs import ROOT


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


@pytest.mark.parametrize("options", [["--matrix"], ["--matrix-table", "-n", "2"]])
def test_the_table_counts_what_passed_and_what_failed_in_any_process(options, tmp_path):
    tests = tmp_path / "test_rows.py"
    tests.write_text(
        "import pytest\n"
        "def test_a01_b002_holds(): pass\n"
        "@pytest.mark.row('A03')\n"
        "def test_breaks(): raise AssertionError\n"
        "def test_of_no_row(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.matrix", "-c", "/dev/null", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:django", *options, str(tests)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "| A attacks | 52 | 2 | 1 | 1 | 0 |" in done.stdout, done.stdout + done.stderr
    assert "| B bad inputs | 172 | 1 | 1 | 0 | 0 |" in done.stdout
    assert ("1 failed, 1 passed" if options == ["--matrix"] else "2 passed") in done.stdout
