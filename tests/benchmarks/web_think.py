"""People at the desk who think: how soon a verdict is acknowledged, and whether any is lost.

`python -m tests.benchmarks.web_think --load L02 --database postgresql --seconds 120`. The loads are
those of the reliability matrix; L04 has a scoring run and an import of 50,000 items beside it. The
peer is a bare view under the same load, on the same stack in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.engine import QUESTIONS
from tests.benchmarks.web_load import BareDesk, Desk, Log, Plan, log_everybody_in, run
from tests.benchmarks.web_stack import (
    ENGINES,
    Stack,
    check_nothing_lost,
    percentile,
    site,
    stack,
)
from tests.faults.installation import ROOT

SCORED = 40_000
IMPORTED = 50_000


@dataclass(frozen=True, slots=True)
class Load:
    """So many people, each looking so long at an item; milliseconds of an acknowledged verdict."""

    n_people: int
    think: float
    p95: float
    is_busy: bool = False


LOADS = {
    "L01": Load(8, 0.0, 120.0),
    "L02": Load(50, 1.0, 150.0),
    "L03": Load(200, 5.0, 300.0),
    "L04": Load(50, 1.0, 500.0, is_busy=True),
}


async def measure(
    served: Stack, load: Load, seconds: float, bare_seconds: float
) -> tuple[Log, Log]:
    """Return what came of the desk, then of the bare view."""
    with site(served) as shown, ExitStack() as beside:
        browsers = await log_everybody_in(shown.port, served.people, served.password)
        if load.is_busy:
            beside.enter_context(other_work(served, "first"))
        ours = await run(browsers, Desk(served.audit), Plan(seconds, think=load.think))
    with site(served, bare=True) as shown, ExitStack() as beside:
        for browser in browsers:
            browser.port = shown.port  # the same log-ins: both sites share sessions and key
        if load.is_busy:
            beside.enter_context(other_work(served, "second"))
        return ours, await run(browsers, BareDesk(), Plan(bare_seconds, think=load.think))


@contextmanager
def other_work(served: Stack, name: str) -> Iterator[None]:
    """Score one data set by a worker and import another, until the load is over."""
    installation = served.installation
    expert = {"first": "stub:4-1-1", "second": "stub:4-2-1"}[name]
    if name == "first":
        installation.run("shell", "-c", QUESTIONS.format(n_items=SCORED))
    labels = installation.home / "labels.csv"
    rows = "".join(f"item-{number},{number % 10}\n" for number in range(IMPORTED))
    labels.write_text(f"key,label\n{rows}")
    classes = installation.home / "classes.txt"
    classes.write_text("".join(f"class {number}\n" for number in range(10)))
    command = ["import_dataset", f"labels-{name}", str(labels), "--format", "manifest"]
    with installation.worker("--devices", "cpu"):
        installation.run("run_expert", f"bench-{SCORED}", expert)
        n_before = installation.chunks_done()
        importing = subprocess.Popen(
            [sys.executable, "manage.py", *command, "--classes", str(classes)],
            cwd=ROOT, env=installation.environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            code = importing.poll()
            n_done = installation.chunks_done() - n_before
            importing.kill()
            importing.wait()
    words = {0: "imported", None: "still being imported"}.get(code, f"refused: {code}")
    sys.stdout.write(f"beside the {name}: {n_done} chunks scored, {IMPORTED:,} items {words}\n")


def describe(name: str, engine: str, load: Load, log: Log, bare: Log, wrong: str) -> str:
    """Return a load's figures in words; milliseconds."""

    def three(values: list[float]) -> str:
        shares = (0.5, 0.95, 0.99)
        return "{:.0f} / {:.0f} / {:.0f}".format(*(1000 * percentile(values, q) for q in shares))

    p95, least = (1000 * percentile(each.submits, 0.95) for each in (log, bare))
    rate, bare_rate = (len(each.submits) / each.seconds for each in (log, bare))
    return (
        f"{name} {engine}: {load.n_people} people, {load.think:g} s each, "
        f"{log.seconds:.0f} s: {rate:.0f} verdicts/s, p50/p95/p99 ms: "
        f"acknowledged {three(log.submits)}, next items {three(log.nexts)}; "
        f"{len(log.errors)} errors, "
        f"{len(log.stored):,} verdicts: {wrong or 'each stored once, none given twice'}; "
        f"goal p95 <= {load.p95:.0f}: {'met' if p95 <= load.p95 else 'MISSED'}\n"
        f"    bare view: {bare_rate:.0f} verdicts/s, acknowledged {three(bare.submits)}, next item "
        f"{three(bare.nexts)}, {len(bare.errors)} errors; ratio of the p95: {p95 / least:.2f}\n"
        + "".join(f"{error}\n" for error in [*log.errors[:3], *bare.errors[:3]])
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_think")
    parser.add_argument("--load", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--bare-seconds", type=float, default=60, help="at most, of the bare view")
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    for name in options.load:
        load = LOADS[name]
        for engine in options.database:
            with stack(engine, options.rows, load.n_people, options.folder) as served:
                spans = options.seconds, min(options.seconds, options.bare_seconds)
                log, bare = asyncio.run(measure(served, load, *spans))
                wrong = check_nothing_lost(served.installation, list(log.stored), log.given_twice)
            sys.stdout.write(describe(name, ENGINES[engine], load, log, bare, wrong))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
