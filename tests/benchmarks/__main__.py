"""Prints the goals as ratios against the peers: scoring, experts, engine, in one run."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.floor import measure_floor
from tests.benchmarks.goals import Goal
from tests.benchmarks.large import list_large_goals
from tests.benchmarks.processes import Figures, finish, start
from tests.benchmarks.stage import make_input

CORE = (
    "ours",
    "ours_float32",
    "learning",
    "learning_peer",
    "temperature",
    "temperature_peer",
    "peer",
)


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, default=1_280_000, help="items; 0 leaves it out")
    parser.add_argument(
        "--folder",
        type=Path,
        help="for 5 GB of input, on a disk: where files begin as memory (tmpfs) no cache is cold",
    )
    parser.add_argument("--quick", action="store_true", help="10,000 items, once, nothing large")
    options = parser.parse_args()
    if options.quick:
        options.items, options.runs, options.large = 10_000, 1, 0
    out = sys.stdout.write
    out(
        f"calibrate + flag, two experts, {options.items:,} x {options.classes:,} logits in "
        f"float16, median of {options.runs} interleaved runs\n\n"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
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
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            make_input(Path(name), options.large, options.classes, single=False)
            goals = list_large_goals(Path(name), options.large)
        out("\n" + "".join(f"{goal}\n" for goal in goals))
    out("\n")
    sys.stdout.flush()
    run_other_parts(quick=options.quick)


def run_other_parts(*, quick: bool) -> None:
    """Run the benchmarks that are modules of their own, one after the other."""
    parts = {
        "vision": ["--files=32", "--rounds=1"],
        "language": ["--questions=16", "--rounds=1"],
        "engine_goals": ["--quick"],
        "web": ["--rows=5000", "--seconds=2"],
        "web_think": ["--seconds=2", "--rows=2000"],
        "web_pages": ["--items=2000", "--judged=400"],
        "web_thumbs": ["--pictures=20", "--seconds=2"],
        "web_flood": ["--seconds=4", "--rows=2000"],
        "web_projects": ["--items=20000", "--seconds=2"],
    }
    for name, small in parts.items():
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        subprocess.run([*command, *(small if quick else [])], check=True)
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
