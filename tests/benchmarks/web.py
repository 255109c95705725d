"""Submit + next through the real desk beside a bare Django view, on the same stack in one run.

`python -m tests.benchmarks.web` (part of `make bench`): queues of 50,000 and 1,000,000 rows, 1, 8
and 32 annotators without a pause, SQLite and PostgreSQL. Here every verdict is followed by a
request for the next item; the desk's page asks once for five, which is the last line of a block.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.goals import Goal
from tests.benchmarks.web_load import BareDesk, Browser, Desk, Log, Plan, log_everybody_in, run
from tests.benchmarks.web_stack import (
    ENGINES,
    Site,
    Stack,
    check_nothing_lost,
    percentile,
    site,
    stack,
)

HEAD = (
    f"{'':24}{'submit p50/p95':>17}{'next p50/p95':>17}{'both p50/p95':>17}"
    f"{'cycles/s':>10}{'CPU ms: web':>13}{'database':>10}{'MB':>7}{'errors':>8}\n"
)


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """Label Studio 1.23 at 50,000 tasks, as measured on two shared cores, the better of each range.

    Milliseconds on PostgreSQL with gunicorn; `cycle_at_32`: seconds per cycle of 32 annotators.
    """

    next_p95 = 124.0
    cycle_p95 = 256.0
    cycle_at_32 = 1 / 8.8
    processor = 80.0
    megabytes = 290.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of one site cost; milliseconds."""

    log: Log
    web: float
    database: float
    megabytes: float

    @property
    def cycle_p95(self) -> float:
        return 1000 * percentile(self.log.cycles, 0.95)

    @property
    def next_p95(self) -> float:
        return 1000 * percentile(self.log.nexts, 0.95)

    @property
    def rate(self) -> float:
        return len(self.log.cycles) / self.log.seconds

    def line(self, name: str) -> str:
        def pair(values: list[float]) -> str:
            return "{:.1f} / {:.1f}".format(*(1000 * percentile(values, q) for q in (0.5, 0.95)))

        log = self.log
        return (
            f"{name:24}{pair(log.submits):>17}{pair(log.nexts):>17}{pair(log.cycles):>17}"
            f"{self.rate:10.0f}{self.web:13.2f}{self.database:10.2f}{self.megabytes:7.0f}"
            f"{len(log.errors):8}\n"
        )


async def measure(
    served: Stack, counts: list[int], seconds: float
) -> tuple[list[Figures], list[Figures]]:
    """Return the desk's figures for each number of annotators, then the bare site's.

    The desk's last are those of its own page, which asks for items less often.
    """
    with site(served) as shown:
        people = served.people[: max(counts)]
        browsers = await log_everybody_in(shown.port, people, served.password)
        desk = Desk(served.audit)
        ours = await _measure_all(shown, browsers, desk, counts, Plan(seconds, always_ask=True))
        ours += await _measure_all(shown, browsers, desk, counts[-1:], Plan(seconds))
    with site(served, bare=True) as shown:
        for browser in browsers:
            browser.port = shown.port  # the same log-ins: both sites share sessions and key
        plan = Plan(seconds, always_ask=True)
        theirs = await _measure_all(shown, browsers, BareDesk(), counts, plan)
    return ours, theirs


async def _measure_all(
    shown: Site, browsers: list[Browser], desk: Desk | BareDesk, counts: list[int], plan: Plan
) -> list[Figures]:
    await run(browsers, desk, Plan(seconds=1, always_ask=True))  # warm
    return [await _measure_one(shown, browsers[:n_people], desk, plan) for n_people in counts]


async def _measure_one(
    shown: Site, browsers: list[Browser], desk: Desk | BareDesk, plan: Plan
) -> Figures:
    web, database = shown.web_seconds(), shown.database_seconds()
    log = await run(browsers, desk, plan)
    per_cycle = 1000 / max(len(log.cycles), 1)
    return Figures(
        log,
        (shown.web_seconds() - web) * per_cycle,
        (shown.database_seconds() - database) * per_cycle,
        shown.worker_megabytes(),
    )


def list_goals(figures: dict[tuple[int, int], Figures], sizes: list[int]) -> list[Goal]:
    """Return the goals of one engine; `figures` by rows and annotators."""
    peer = LabelStudio()
    small, one = figures[sizes[0], 1], figures[sizes[0], 1]
    crowd = figures[sizes[0], max(n for _, n in figures)]
    goals = [
        Goal("next p95: Label Studio on PostgreSQL", one.next_p95, peer.next_p95, 1 / 10, "ms"),
        Goal("submit + next p95: same", one.cycle_p95, peer.cycle_p95, 1 / 8, "ms"),
        Goal("seconds per cycle, most annotators: same", 1 / crowd.rate, peer.cycle_at_32, 1 / 20),
        Goal("submit + next p95, most annotators: 250 ms", crowd.cycle_p95, 250.0, 1.0, "ms"),
        Goal("CPU per cycle, web and database: Label Studio", crowd.web + crowd.database,
             peer.processor, 1 / 10, "ms"),
        Goal("memory of a web process: same", crowd.megabytes, peer.megabytes, 1 / 3, "MB"),
    ]  # fmt: skip
    if len(sizes) > 1:
        large = figures[sizes[-1], 1]
        name = f"submit + next p95, {sizes[-1]:,} rows: {sizes[0]:,}"
        goals.append(Goal(name, large.cycle_p95, small.cycle_p95, 1.3, "ms"))
    return goals


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web")
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--annotators", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    out = sys.stdout.write
    for engine in options.database:
        figures: dict[tuple[int, int], Figures] = {}
        for n_rows in options.rows:
            out(f"{ENGINES[engine]}, {n_rows:,} rows; ms\n{HEAD}")
            sys.stdout.flush()
            with stack(engine, n_rows, max(options.annotators), options.folder) as served:
                counts = options.annotators
                real, bare = asyncio.run(measure(served, counts, options.seconds))
                for n_people, theirs, ours in zip(counts, bare, real, strict=False):
                    figures[n_rows, n_people] = ours
                    out(theirs.line(f"{n_people:3} bare view"))
                    out(ours.line(f"{n_people:3} desk"))
                out(real[-1].line(f"{counts[-1]:3} desk, as its page"))
                stored = [key for each in real for key in each.log.stored]
                twice = sum(each.log.given_twice for each in real)
                wrong = check_nothing_lost(served.installation, stored, twice)
                verdict = wrong or "each stored once, no item given twice"
                out(f"{len(stored):,} verdicts: {verdict}\n")
                errors = [error for each in real for error in each.log.errors]
                out("".join(f"{error}\n" for error in errors[:3]))
                out(f"{served.web_log()[-1500:]}\n" if errors else "\n")
        out("".join(f"{goal}\n" for goal in list_goals(figures, options.rows)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
