"""Runs faults once each against real processes and prints a table of what came of them.

    python -m tests.faults.campaign            all of them, some twenty minutes
    python -m tests.faults.campaign F01 F22    these

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

from tests.faults.scene import Scene

MODULES = ("rows_workers", "rows_poison", "rows_broker", "rows_database", "rows_disk", "rows_store")
ROWS: dict[str, Row] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """A fault by its number, and the function that stages it."""

    number: str
    fault: str
    stage: Callable[[], Scene]


def fault(number: str, name: str) -> Callable[[Callable[[], Scene]], Callable[[], Scene]]:
    """Register a function that stages a fault, checks what must hold, and returns its scene."""

    def register(stage: Callable[[], Scene]) -> Callable[[], Scene]:
        assert number not in ROWS, number
        ROWS[number] = Row(number, name, stage)
        return stage

    return register


def run(row: Row) -> bool:
    """Stage one fault and print its line."""
    started = time.monotonic()
    try:
        scene = row.stage()
    except Exception:  # noqa: BLE001 - a row that fails must not end the others
        traceback.print_exc()
        sys.stdout.write(f"{row.number:7} {row.fault:58} FAILED\n")
        return False
    figures = f"{scene.recovered_after:8.1f} {scene.finished_after:8.1f}"
    if not scene.cleared_at:
        figures = f"{'-':>8} {'-':>8}"
    notes = "; ".join(scene.notes)
    took = time.monotonic() - started
    sys.stdout.write(f"{row.number:7} {row.fault:58}{figures}  equal  {took:5.0f} s  {notes}\n")
    sys.stdout.flush()
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign")
    parser.add_argument("numbers", nargs="*", help="such as F01; all of them where none is named")
    options = parser.parse_args()
    for module in MODULES:
        import_module(f"tests.faults.{module}")
    wanted = [
        row
        for number, row in sorted(ROWS.items())
        if not options.numbers
        or number.rstrip("abcdefgh") in options.numbers
        or number in options.numbers
    ]
    head = f"{'':7} {'fault':58}{'first':>8} {'end':>8}  hash   whole\n"
    sys.stdout.write(head)
    failed = [row.number for row in wanted if not run(row)]
    sys.stdout.write(f"{len(wanted)} faults, failed: {', '.join(failed) or 'none'}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    # Rows register themselves with the module they import, not with this one called __main__.
    import_module("tests.faults.campaign").main()
