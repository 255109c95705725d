"""The matrix of bad inputs, faults, attacks, review races, exports, loads, gates: who holds it.

A test says which rows it holds by its name (`test_r02_r06_a_double_click_...`) or by
`@pytest.mark.row("A03")`; the fault campaign registers its own by number.
`python -m pytest --matrix` runs only such tests and ends with the table: rows by letter, how many
have a test, how many passed, and which have none and why. `--matrix-table` ends any run with it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
N_ROWS = {"A": 52, "B": 172, "E": 18, "F": 46, "G": 14, "L": 15, "R": 30}
TITLES = {
    "A": "attacks",
    "B": "bad inputs",
    "E": "exports, backups, migrations",
    "F": "faults",
    "G": "gates",
    "L": "loads",
    "R": "review races",
}
PROPERTY = "rows of the matrix"
NAMED = re.compile(r"test((?:_[abefglr]\d{2,3})+)(?:_|$)")
# Rows that no test can hold here, and why.
NOT_RUN: dict[str, str] = {
    "B149": "no form, no address and no operation of the API takes a date",
    "A52": "pip-audit asks a server for advisories, which no test may; pins and hashes hold G04",
    "B165": "nothing is kept for a time that a setting says: people remove what shall go",
    "B172": "an export has no size it may not have: it is streamed (E06, L10)",
}
# Rows that a command measures, not a test: on a busy machine a time says nothing.
_BENCHMARK = "python -m tests.benchmarks"
MEASURED: dict[str, str] = {
    "L01": f"{_BENCHMARK}.web_think --load L01 --seconds 60; beside a bare view: {_BENCHMARK}.web",
    "L02": f"{_BENCHMARK}.web_think --load L02 --seconds 300",
    "L03": f"{_BENCHMARK}.web_think --load L03 --seconds 600",
    "L04": f"{_BENCHMARK}.web_think --load L04 --seconds 300",
    "L05": f"{_BENCHMARK}.growth --items 50000 (questions; pictures are not opened here)",
    "L06": f"{_BENCHMARK}.growth --items 14042",
    "L07": f"{_BENCHMARK}.web_pages",
    "L08": f"{_BENCHMARK}, part of make bench",
    "L09": f"{_BENCHMARK}.web_pages",
    "L10": f"{_BENCHMARK}.releases",
    "L11": f"{_BENCHMARK}.web_thumbs",
    "L12": f"{_BENCHMARK}.web_flood --seconds 60",
    "L13": f"{_BENCHMARK}.web_projects",
    "L14": f"{_BENCHMARK}.engine_goals",
    "L15": f"{_BENCHMARK}.web_endurance --hours 4",
    "G01": "make check: ruff and mypy",
    "G02": "make coverage: all lines of permissions, claims and releases; ARGS=core, 95 % of those",
    "G03": "make mutants: a sample of each part's changes, 80 % of them noticed",
    "G05": "make check: ruff's rules S are bandit's, and bandit -ll finds no more by hand; zizmor "
    "has no workflow to read",
    "G10": "every run: pytest-randomly's order, two processes side by side",
    "G14": "every run: filterwarnings in pyproject.toml; deprecations are let through",
}


def all_rows() -> list[str]:
    """Return every number of the matrix, such as A03 and B101."""
    return [
        f"{letter}{number:0{3 if letter == 'B' else 2}d}"
        for letter, count in N_ROWS.items()
        for number in range(1, count + 1)
    ]


def _is_row_marker(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "row"
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "mark"
    )


def rows_in_name(name: str) -> list[str]:
    """Return the rows that a test's name begins with: test_r02_r06_back -> R02, R06."""
    match = NAMED.match(name)
    return match[1].upper().strip("_").split("_") if match else []


def rows_in_code() -> dict[str, set[str]]:
    """Return row -> files of `tests` that name it in a marker or register it as a fault."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(HERE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for row in rows_in_name(node.name):
                    found[row].add(str(path.relative_to(HERE)))
            if not isinstance(node, ast.Call):
                continue
            registers = isinstance(node.func, ast.Name) and node.func.id == "fault"
            if not (_is_row_marker(node) or registers):
                continue
            names = node.args[:1] if registers else node.args
            for name in names:
                if isinstance(name, ast.Constant):
                    row = str(name.value)
                    # One fault may have several lines, such as F31a and F31b.
                    row = row.rstrip("abcdefgh") if registers else row
                    if not (registers and row[0] == "S"):  # S3: a fault of our own, of buckets
                        found[row].add(str(path.relative_to(HERE)))
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix", action="store_true", help="run the tests of the matrix, count rows"
    )
    parser.addoption("--matrix-table", action="store_true", help="count rows of the matrix")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(*numbers): rows of the matrix that the test holds")
    if config.getoption("--matrix") or config.getoption("--matrix-table"):
        config.pluginmanager.register(MatrixTable(), "matrix-table")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the rows of each test where its report finds them, also out of another process."""
    for item in items:
        if rows := rows_of(item):
            item.user_properties.append((PROPERTY, rows))
    if config.getoption("--matrix"):
        kept = [item for item in items if rows_of(item)]
        config.hook.pytest_deselected(items=[item for item in items if not rows_of(item)])
        items[:] = kept


def rows_of(item: pytest.Item) -> list[str]:
    """Return the rows that a collected test holds, by its markers and its name."""
    marked = [str(row) for marker in item.iter_markers("row") for row in marker.args]
    return marked + rows_in_name(item.name.split("[")[0])


class MatrixTable:
    """Keeps what came of each row's tests, and prints the table."""

    def __init__(self) -> None:
        self.outcomes: dict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for row in dict(report.user_properties).get(PROPERTY, []):
                self.outcomes[row].add(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("matrix")
        write("| rows | of | with a test | passed | failed | skipped | by command | not run |")
        write("|---|---|---|---|---|---|---|---|")
        campaign = set(rows_in_code()) - set(self.outcomes)
        open_rows = []
        for letter, count in N_ROWS.items():
            rows = [row for row in all_rows() if row[0] == letter]
            outcomes = [self.outcomes[row] for row in rows if row in self.outcomes]
            failed = sum("failed" in each for each in outcomes)
            skipped = sum("skipped" in each and "failed" not in each for each in outcomes)
            by_command = [row for row in rows if row in campaign or row in MEASURED]
            by_command = [row for row in by_command if row not in self.outcomes]
            not_run = [row for row in rows if row in NOT_RUN]
            open_rows += [
                row
                for row in rows
                if not (row in self.outcomes or row in by_command or row in NOT_RUN)
            ]
            write(
                f"| {letter} {TITLES[letter]} | {count} | {len(outcomes)} "
                f"| {len(outcomes) - failed - skipped} | {failed} | {skipped} "
                f"| {len(by_command)} | {len(not_run)} |"
            )
        for row, why in {**MEASURED, **NOT_RUN}.items():
            write(f"{row}: {why}")
        write(f"neither a test nor a reason: {', '.join(open_rows) or 'none'}")
