"""Prints the scoring library's goals as ratios against its peers, measured in one run."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.floor import measure_floor
from tests.benchmarks.stage import EXPERTS, make_input

Figures = dict[str, Any]
CORE = (
    "ours",
    "ours_float32",
    "learning",
    "learning_peer",
    "temperature",
    "temperature_peer",
    "peer",
)


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: ``ours`` / ``peer`` should be at most ``limit``."""

    name: str
    ours: float
    peer: float
    limit: float
    unit: str = "s"

    def __str__(self) -> str:
        ratio = self.ours / self.peer
        verdict = "met" if ratio <= self.limit else "MISSED"
        return (
            f"{self.name:58}{self.ours:10.3f}{self.peer:10.3f} {self.unit:3}"
            f"{ratio:9.3f}  <= {self.limit:6.3f}  {verdict}"
        )


def start(way: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.stage", way, str(folder)], stdout=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> Figures:
    printed, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    figures: Figures = json.loads(printed.splitlines()[-1])
    return figures


def run_ways(folder: Path, n_runs: int) -> tuple[dict[str, Figures], float | None]:
    """Run every way in turn, several times over; return medians of the figures, and the floor."""
    results: dict[str, list[Figures]] = {way: [] for way in CORE}
    floors = []
    for _ in range(n_runs):
        floors.append(measure_floor(folder))
        for way in CORE:
            results[way].append(finish(start(way, folder)))
    medians = {
        way: {
            **runs[-1],
            **{
                name: statistics.median(run[name] for run in runs)
                for name in ("core", "cpu", "peak_mb")
            },
        }
        for way, runs in results.items()
    }
    known = [floor for floor in floors if floor is not None]
    return medians, statistics.median(known) if known else None


def list_goals(medians: dict[str, Figures], floor: float | None) -> list[Goal]:
    ours, peer = medians["ours"], medians["peer"]
    temperature, library = medians["temperature"], medians["temperature_peer"]
    learning, batched = medians["learning"], medians["learning_peer"]
    goals = [
        Goal(
            "whole stage, CPU with imports: scikit-learn + cleanlab",
            ours["cpu"],
            peer["cpu"],
            1 / 8,
        ),
        Goal("whole stage, peak memory: same", ours["peak_mb"], peer["peak_mb"], 1 / 10, "MB"),
        Goal(
            "Confident Learning alone: cleanlab in batches", learning["core"], batched["core"], 1.5
        ),
        Goal("temperature fit: scikit-learn", temperature["core"], library["core"], 1 / 15),
        Goal("stage in float16: in float32", ours["core"], medians["ours_float32"]["core"], 1.1),
    ]
    if floor is not None:
        goals.insert(2, Goal("whole stage, CPU: one fused pass in C", ours["core"], floor, 8.0))
    return goals


def describe_agreement(folder: Path, medians: dict[str, Figures]) -> list[str]:
    """Return how far our results are from the peers': flags of the stage, temperatures."""
    lines = []
    for name, label in (("disputed", "disputed items"), ("learned", "Confident Learning")):
        ours, peer = (np.load(folder / f"{way}_{name}.npy") for way in ("ours", "peer"))
        differing = np.setxor1d(ours, peer).size
        lines.append(f"{label}: {ours.size} flagged, {peer.size} by the peer, {differing} differ")
    pairs = [("ours", "peer"), ("temperature", "temperature_peer")]
    for first, second in pairs:
        gaps = np.subtract(medians[first]["temperatures"], medians[second]["temperatures"])
        lines.append(f"largest |dT|, {first} against {second}: {np.abs(gaps).max():.1e}")
    return lines


def run_large(folder: Path, n_items: int) -> list[str]:
    """Run the stage in two processes, one an expert; return what it took."""
    make_input(folder, n_items, 1000, single=False)
    started = time.perf_counter()
    halves = [finish(process) for process in [start(name, folder) for name in EXPERTS]]
    joined = finish(start("join", folder))
    seconds = time.perf_counter() - started
    peaks = ", ".join(f"{each['peak_mb']:.0f}" for each in [*halves, joined])
    scaled = 6.0 * n_items / 1_280_000
    verdict = "met" if seconds <= scaled else "MISSED"
    cpu = sum(each["cpu"] for each in [*halves, joined])
    took = (
        f"{n_items:,} x 1,000 float16, two experts, two processes: {seconds:.1f} s with start-up "
        f"(goal {scaled:.1f} s: {verdict}), CPU {cpu:.1f} s"
    )
    return [took, f"peak memory of the two and of the join: {peaks} MB (goal 200 MB)"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, default=1_280_000, help="items; 0 leaves it out")
    parser.add_argument("--quick", action="store_true", help="10,000 items, once, nothing large")
    options = parser.parse_args()
    if options.quick:
        options.items, options.runs, options.large = 10_000, 1, 0
    out = sys.stdout.write
    out(
        f"calibrate + flag, two experts, {options.items:,} x {options.classes:,} logits in "
        f"float16, median of {options.runs} interleaved runs\n\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder, options.items, options.classes)
        medians, floor = run_ways(folder, options.runs)
        agreement = describe_agreement(folder, medians)
    out(f"{'':58}{'ours':>10}{'peer':>10} {'':3}{'ratio':>9}{'goal':>11}\n")
    out("".join(f"{goal}\n" for goal in list_goals(medians, floor)))
    if floor is None:
        out("no C compiler (cc): the fused pass is left out\n")
    out("\n" + "".join(f"{line}\n" for line in agreement))
    if options.large:
        with tempfile.TemporaryDirectory() as name:
            out("\n" + "".join(f"{line}\n" for line in run_large(Path(name), options.large)))
    out("\n")
    sys.stdout.flush()
    vision = [sys.executable, "-m", "tests.benchmarks.vision"]
    subprocess.run([*vision, *(["--files=32", "--rounds=1"] if options.quick else [])], check=True)
    language = [sys.executable, "-m", "tests.benchmarks.language"]
    small = ["--questions=16", "--rounds=1"] if options.quick else []
    subprocess.run([*language, *small], check=True)


if __name__ == "__main__":
    main()
