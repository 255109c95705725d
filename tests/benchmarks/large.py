"""The stage at a million items and more: two processes, one an expert, then the two together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.floor import measure_floor
from tests.benchmarks.goals import Goal
from tests.benchmarks.processes import Figures, finish, start
from tests.benchmarks.stage import EXPERTS, input_file

SECONDS = 6.0  # for 1.28 million items in two processes, on a machine with nothing else to do
ITEMS = 1_280_000
MEGABYTES = 200.0
OF_FUSED_PASS = 8.0
COLD = 1.3  # times what reading the files takes
BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """The two processes, the third that joins them, and the seconds from start to end of all."""

    halves: list[Figures]
    joined: Figures
    seconds: float

    @property
    def cpu(self) -> float:
        return sum(float(each["cpu"]) for each in [*self.halves, self.joined])


def run_stage(folder: Path) -> Run:
    started = time.perf_counter()
    halves = [finish(process) for process in [start(name, folder) for name in EXPERTS]]
    joined = finish(start("join", folder))
    return Run(halves, joined, time.perf_counter() - started)


def list_large_goals(folder: Path, n_items: int) -> list[Goal]:
    """Measure the input in ``folder``: warm, then twice without any of it in the file cache."""
    warm = run_stage(folder)
    first_read = _seconds_cold(folder, lambda: _read(folder))
    cold = _seconds_cold(folder, lambda: run_stage(folder))
    # The machine below may keep the files in a cache of its own, for one as well as the other.
    read = (first_read + _seconds_cold(folder, lambda: _read(folder))) / 2
    peaks = [float(each["peak_mb"]) for each in warm.halves]
    name = f"{n_items:,} items, two processes"
    goals = [
        Goal(f"{name}: seconds", warm.seconds, SECONDS * n_items / ITEMS, 1.0),
        Goal(f"{name}: peak memory of each", max(peaks), MEGABYTES, 1.0, "MB"),
        Goal("... peak memory of the join", warm.joined["peak_mb"], MEGABYTES, 1.0, "MB"),
        Goal("... cold file cache: warm + 1.3 x the read", cold, warm.seconds + COLD * read, 1.0),
    ]
    floor = measure_floor(folder, n_runs=1)
    if floor is not None:
        goals.append(
            Goal("... CPU of all three: one fused pass in C", warm.cpu, floor, OF_FUSED_PASS)
        )
    return goals


def _seconds_cold(folder: Path, action: Callable[[], object]) -> float:
    """Return how long the action takes once the file cache holds nothing of the input."""
    for name in EXPERTS:
        _forget(input_file(folder, name))
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _forget(path: Path) -> None:
    """Take a file out of the file cache; any user may do so with files of their own."""
    with path.open("rb+") as file:
        os.fsync(file)  # what is not yet on disk can't be dropped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(folder: Path) -> None:
    buffer = bytearray(BLOCK)
    for name in EXPERTS:
        with input_file(folder, name).open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
