"""Runs faults once each against real processes and tells what came of them.

    python -m tests.faults.campaign            all of them, some half an hour
    python -m tests.faults.campaign F01 F22    these
    python -m tests.faults.campaign --write    and write their lines of docs/reference/faults.md

Not part of the test suite: the few that are fast are, in test_*.py beside this file.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tests.faults.page import Line, write_line
from tests.faults.scene import Scene, Stage

MODULES = (
    "rows_workers",
    "rows_poison",
    "rows_broker",
    "rows_database",
    "rows_commits",
    "rows_disk",
    "rows_store",
)
ROWS: dict[str, Row] = {}
Strike = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A fault: its number, what is done, what it is done to, and what must hold besides.

    ``strike`` does it and asserts it; its docstring says what must hold besides the same result.
    """

    number: str
    fault: str
    stage: Stage
    strike: Strike

    @property
    def expectation(self) -> str:
        return " ".join((self.strike.__doc__ or "").split())

    def run(self) -> Line:
        """Stage the fault once and return its line."""
        started = time.monotonic()
        with self.stage() as scene:
            self.strike(scene)
        return Line(
            self.number,
            self.fault,
            self.expectation,
            scene.recovered_after,
            scene.finished_after,
            scene.result,
            "; ".join(scene.notes),
            time.monotonic() - started,
        )


def fault(number: str, what: str, stage: Stage) -> Callable[[Strike], Strike]:
    """Register a function that strikes a stage and asserts what must hold."""

    def register(strike: Strike) -> Strike:
        assert number not in ROWS, number
        ROWS[number] = Row(number, what, stage, strike)
        return strike

    return register


def load_rows() -> dict[str, Row]:
    """Return every fault there is, by its number."""
    for module in MODULES:
        import_module(f"tests.faults.{module}")
    return dict(sorted(ROWS.items()))


def try_row(row: Row, *, write: bool) -> bool:
    """Stage one fault, print (and write) what came of it; False where it was too much."""
    try:
        line = row.run()
    except Exception:  # noqa: BLE001 - a row that fails must not end the others
        traceback.print_exc()
        sys.stdout.write(f"{row.number:7} {row.fault}: FAILED\n")
        sys.stdout.flush()
        return False
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    if write:
        write_line(ROWS, line)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign")
    parser.add_argument("numbers", nargs="*", help="such as F01; all of them where none is named")
    parser.add_argument(
        "--write", action="store_true", help="write the lines of docs/reference/faults.md"
    )
    options = parser.parse_args()
    rows = load_rows()
    asked = set(options.numbers)
    wanted = [
        row for each, row in rows.items() if not asked or asked & {each, each.rstrip("abcdefgh")}
    ]
    failed = [row.number for row in wanted if not try_row(row, write=options.write)]
    sys.stdout.write(f"{len(wanted)} faults, failed: {', '.join(failed) or 'none'}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    # Rows register themselves with the module they import, not with this one called __main__.
    import_module("tests.faults.campaign").main()
