"""Fifty people for hours while something is killed every five minutes: row L15.

`python -m tests.benchmarks.web_endurance --hours 4`: every minute the memory and open files of the
web processes and of a worker, and what the database leaves lying about, are written down. The last
quarter's median must not lie more than 5 % above the second's; the first warms caches.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.web_load import Desk, Log, Plan, log_everybody_in, run
from tests.benchmarks.web_stack import ENGINES, Stack, check_nothing_lost, percentile, site, stack
from tests.faults.installation import family

N_PEOPLE, THINK, GROWTH = 50, 1.0, 1.05
DEAD = "SELECT COALESCE(SUM(n_dead_tup), 0) FROM pg_stat_user_tables"


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute's figures. `left`: SQLite's log in MB, or PostgreSQL's dead rows in thousands."""

    web_mb: float
    web_files: int
    worker_mb: float
    left: float


class Watch(threading.Thread):
    """Takes a sample every so often, and kills a web or a pool process every so often."""

    def __init__(
        self, served: Stack, web: int, worker: int, every: float, kill_every: float
    ) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.kills = 0
        self._served, self._web, self._worker = served, web, worker
        self._every, self._kill_every = every, kill_every
        self._over = threading.Event()
        self._rng = random.Random(0)  # noqa: S311 - who is next, not a secret

    def run(self) -> None:
        kill_at = time.monotonic() + self._kill_every
        while not self._over.wait(self._every):
            with suppress(psutil.NoSuchProcess):
                self.samples.append(self._sample())
            if time.monotonic() >= kill_at:
                kill_at += self._kill_every
                victims = [*family(self._web)[1:], *family(self._worker)[2:]]
                with suppress(psutil.NoSuchProcess):
                    self._rng.choice(victims).kill()
                    self.kills += 1

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _sample(self) -> Sample:
        web, worker = family(self._web)[1:], family(self._worker)
        return Sample(
            max(process.memory_info().rss for process in web) / 2**20,
            max(process.num_fds() for process in web),
            sum(process.memory_info().rss for process in worker) / 2**20,
            self._left(),
        )

    def _left(self) -> float:
        if self._served.engine == "sqlite":
            log = self._served.installation.home / "label-audit.sqlite3-wal"
            return log.stat().st_size / 2**20 if log.exists() else 0.0
        return float(self._served.installation.query(DEAD)[0][0]) / 1000


async def measure(served: Stack, seconds: float, kill_every: float) -> tuple[Log, Watch]:
    with site(served) as shown, served.installation.worker("--devices", "cpu") as worker:
        browsers = await log_everybody_in(shown.port, served.people, served.password)
        every = min(60.0, seconds / 40)
        watch = Watch(served, shown.pid, worker.pid, every, kill_every)
        watch.start()
        try:
            log = await run(browsers, Desk(served.audit), Plan(seconds, think=THINK))
        finally:
            watch.stop()
        return log, watch


def growth(samples: list[Sample], read: Callable[[Sample], float]) -> tuple[float, float]:
    """Return the medians of the second quarter and of the last."""
    quarter = max(len(samples) // 4, 1)
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(map(read, second)), statistics.median(map(read, last))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_endurance")
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--kill-every", type=float, default=300, help="seconds")
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    seconds = 3600 * options.hours
    n_rows = max(int(1.2 * N_PEOPLE * seconds / THINK), 5000)
    for engine in options.database:
        with stack(engine, n_rows, N_PEOPLE, options.folder) as served:
            log, watch = asyncio.run(measure(served, seconds, options.kill_every))
            wrong = check_nothing_lost(served.installation, list(log.stored), log.given_twice)
        p95 = 1000 * percentile(log.submits, 0.95)
        sys.stdout.write(
            f"L15 {ENGINES[engine]}: {options.hours:g} h, {watch.kills} kills, "
            f"{len(log.stored):,} verdicts: {wrong or 'each stored once, none given twice'}; "
            f"{len(log.errors)} errors, p95 {p95:.0f} ms\n"
        )
        for said, read in (
            ("memory of a web process, MB", lambda each: each.web_mb),
            ("open files of a web process", lambda each: each.web_files),
            ("memory of the worker, MB", lambda each: each.worker_mb),
            ("log in MB, or thousands of dead rows", lambda each: each.left),
        ):
            second, last = growth(watch.samples, read)
            flat = last <= max(GROWTH * second, second + 1)
            sys.stdout.write(
                f"    {said:38}{second:9.1f} ->{last:9.1f}  {'flat' if flat else 'GROWS'}\n"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
