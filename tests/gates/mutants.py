"""Says how many small wrong changes of a part the tests notice, and which they don't.

`python -m tests.gates.mutants calibration flags` takes the named parts, all of them by default.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.gates.parts import PARTS, ROOT

GOAL = 0.8
COMMAND = (
    *(
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.gates.forks",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ),
    *("-m", "not service and not browser", "--hypothesis-seed=0", "--timeout=0"),
    *("-o", "tmp_path_retention_policy=none"),
)


def run_part(name: str, options: list[str]) -> dict[str, Any]:
    """Try a sample of a part's changes; return how many there are, and what came of the sample."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="label-audit-mutants-") as folder:
        outcome = Path(folder, "outcome.json")
        given = ["--part", name, "--outcome", str(outcome), *options]
        command = [sys.executable, *COMMAND, *given, *PARTS[name].tests]
        environment["TMPDIR"] = folder
        with Path(folder, "pytest.txt").open("w+", encoding="utf-8") as told:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=told, check=False)
            told.seek(0)
            if not outcome.exists():
                raise SystemExit(f"{name}: {' '.join(command)}\n{told.read()[-4000:]}")
        return json.loads(outcome.read_text())


def interval(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's 95 % limits of a share of n."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def report(name: str, told: dict[str, Any], seconds: float) -> float:
    """Print a part's survivors and its score; return the score."""
    trials = told["trials"]
    counts = {
        outcome: sum(trial["outcome"] == outcome for trial in trials)
        for outcome in ("killed", "timeout", "survived", "unreached")
    }
    for trial in trials:
        if trial["outcome"] in {"survived", "unreached"}:
            where = Path(trial["file"]).relative_to(ROOT)
            print(f"\n{trial['outcome']} {where}:{trial['line']} {trial['function']}")  # noqa: T201
            print(f"- {trial['before']}\n+ {trial['after']}")  # noqa: T201
    share = (counts["killed"] + counts["timeout"]) / len(trials)
    low, high = interval(share, len(trials))
    print(  # noqa: T201
        f"\n{name}: {len(trials)} of {told['n_changes']} changes tried in {seconds:.0f} s: "
        f"{counts['killed']} killed, {counts['timeout']} by the time limit, "
        f"{counts['survived']} survived, {counts['unreached']} that no test reaches; "
        f"{share:.1%} ({low:.0%} to {high:.0%})",
        flush=True,
    )
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--sample", default="80", help="changes per part")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--forks", default="2", help="processes side by side")
    parser.add_argument("--only", default="", help="the changes of FILE:LINE,... alone")
    given = vars(parser.parse_args())
    names = given.pop("parts") or list(PARTS)
    options = [f"--{name}={value}" for name, value in given.items()]
    scores = {}
    for name in names:
        started = time.monotonic()
        scores[name] = report(name, run_part(name, options), time.monotonic() - started)
    if min(scores.values()) < GOAL:
        sys.exit(f"below {GOAL:.0%}: {[name for name, score in scores.items() if score < GOAL]}")


if __name__ == "__main__":
    main()
