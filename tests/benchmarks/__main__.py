"""Prints the benchmarks as a table: ours, the peer, and the ratio of medians."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.stage import make_input

WAYS = ("ours", "peer")
FIGURES = {"wall": "seconds", "cpu": "CPU seconds, imports included", "peak_mb": "peak MB"}


def measure(way: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.stage", way, str(folder)],
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(  # noqa: T201
        f"calibrate + flag, two experts, {options.items:,} x {options.classes:,} float16, "
        f"median of {options.runs} interleaved runs\n"
        "peer: scikit-learn's temperature + softmax + cleanlab's confident_learning filter\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder, options.items, options.classes)
        results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.runs):
            for way in WAYS:
                results[way].append(measure(way, folder))
    print(f"{'':32}{'ours':>10}{'peer':>10}{'peer/ours':>11}")  # noqa: T201
    for figure, label in FIGURES.items():
        ours, peer = (statistics.median(run[figure] for run in results[way]) for way in WAYS)
        print(f"{label:32}{ours:10.2f}{peer:10.2f}{peer / ours:10.1f}x")  # noqa: T201


if __name__ == "__main__":
    main()
