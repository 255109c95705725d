"""Wrong passwords fifty times a second, while people judge and somebody logs in: row L12.

`python -m tests.benchmarks.web_flood`: the flood comes from fifty addresses and tries the names of
the people at the desk and invented ones; those who log in honestly have other names and addresses.
Checking a password costs the processor by design, so a flood must be turned away before that.
The peer is the desk without a flood, and a bare view without one, on the same stack in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.web_load import BareDesk, Browser, Desk, Log, Plan, log_everybody_in, run
from tests.benchmarks.web_stack import ENGINES, Stack, percentile, site, stack

N_AT_DESK, N_LOGGING_IN, N_ADDRESSES = 8, 12, 50
LOG_IN_GOAL, REVIEW_GOAL = 2000.0, 300.0


@dataclass
class Flood:
    """What came of it: answers to wrong passwords by status, seconds of honest log-ins."""

    answers: Counter[int] = field(default_factory=Counter)
    log_ins: list[float] = field(default_factory=list)
    refused: int = 0


async def flood(port: int, names: Sequence[str], rate: float, seconds: float, came: Flood) -> None:
    """Send wrong passwords at a rate, whether or not they are answered in time."""
    rng = random.Random(0)  # noqa: S311 - whose name comes next, not a secret
    tasks = set()
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(started + number / rate - time.perf_counter(), 0))
        name = rng.choice([*names, f"nobody-{number}"])
        browser = Browser(port, name, source=f"127.0.1.{1 + number % N_ADDRESSES}")
        tasks.add(asyncio.create_task(guess(browser, came)))
    await asyncio.gather(*tasks)


async def guess(browser: Browser, came: Flood) -> None:
    try:
        came.answers[await browser.try_log_in("not the password")] += 1
    except (OSError, asyncio.IncompleteReadError, AssertionError):
        came.answers[0] += 1
    browser.close()


async def log_in_now_and_then(served: Stack, port: int, seconds: float, came: Flood) -> None:
    """Have somebody log in every so often, from an address of their own."""
    everybody = served.people[N_AT_DESK:]
    for number, name in enumerate(everybody):
        await asyncio.sleep(seconds / (len(everybody) + 1))
        browser = Browser(port, name, source=f"127.0.2.{1 + number}")
        started = time.perf_counter()
        is_in = await browser.try_log_in(served.password) == 302
        came.log_ins.append(time.perf_counter() - started)
        came.refused += not is_in
        browser.close()


async def measure(served: Stack, rate: float, seconds: float) -> tuple[Log, Log, Log, Flood]:
    """Return the desk without a flood and with it, the bare view, and the flood."""
    plan, came = Plan(seconds, think=1.0), Flood()
    with site(served) as shown:
        people = served.people[:N_AT_DESK]
        browsers = await log_everybody_in(shown.port, people, served.password)
        quiet = await run(browsers, Desk(served.audit), plan)
        flooded, _, _ = await asyncio.gather(
            run(browsers, Desk(served.audit), plan),
            flood(shown.port, people, rate, seconds, came),
            log_in_now_and_then(served, shown.port, seconds, came),
        )
    with site(served, bare=True) as shown:
        for browser in browsers:
            browser.port = shown.port
        bare = await run(browsers, BareDesk(), plan)
    return quiet, flooded, bare, came


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_flood")
    parser.add_argument("--rate", type=float, default=50, help="wrong passwords a second")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    for engine in options.database:
        n_people = N_AT_DESK + N_LOGGING_IN
        with stack(engine, options.rows, n_people, options.folder) as served:
            quiet, flooded, bare, came = asyncio.run(measure(served, options.rate, options.seconds))
        review, before, least = (
            1000 * percentile(log.submits, 0.95) for log in (flooded, quiet, bare)
        )
        log_in = 1000 * percentile(came.log_ins, 0.95)
        answers = ", ".join(f"{n} x {status}" for status, n in sorted(came.answers.items()))
        is_met = review <= REVIEW_GOAL and log_in <= LOG_IN_GOAL and not came.refused
        sys.stdout.write(
            f"L12 {ENGINES[engine]}: {options.rate:g} wrong passwords/s for {options.seconds:.0f} "
            f"s ({answers}): verdict p95 {review:.0f} ms, without a flood {before:.0f}, bare view "
            f"{least:.0f}, ratio {review / least:.2f}; log-in p95 {log_in:.0f} ms, "
            f"{came.refused} of {len(came.log_ins)} refused; {len(flooded.errors)} errors; goals "
            f"<= {REVIEW_GOAL:.0f} and {LOG_IN_GOAL:.0f}: {'met' if is_met else 'MISSED'}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
