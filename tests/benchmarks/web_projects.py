"""Claims among a million items of twenty projects, beside a bare view over as many rows: row L13.

`python -m tests.benchmarks.web_projects`: eight people of one project, without a pause.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.benchmarks.web import measure
from tests.benchmarks.web_stack import ENGINES, check_nothing_lost, stack

N_PEOPLE, GOAL = 8, 100.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_projects")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    for engine in options.database:
        with stack(engine, options.items, N_PEOPLE, options.folder, options.projects) as served:
            ours, bare = asyncio.run(measure(served, [N_PEOPLE], options.seconds))
            stored = [key for each in ours for key in each.log.stored]
            wrong = check_nothing_lost(
                served.installation, stored, sum(each.log.given_twice for each in ours)
            )
        claim, theirs = ours[0].next_p95, bare[0].next_p95
        n_errors = sum(len(each.log.errors) for each in ours)
        sys.stdout.write(
            f"L13 {ENGINES[engine]}: {options.items:,} items, {options.projects} projects, "
            f"{N_PEOPLE} people without a pause: claim p95 {claim:.1f} ms, bare view {theirs:.1f} "
            f"ms, ratio {claim / theirs:.2f}; {len(stored):,} verdicts: "
            f"{wrong or 'each stored once, none given twice'}, {n_errors} errors; "
            f"goal p95 <= {GOAL:.0f}: {'met' if claim <= GOAL else 'MISSED'}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
