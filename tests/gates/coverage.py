"""Says which lines the tests reach of the parts that must not be wrong, and of the core.

`python -m tests.gates.coverage` runs the tests of permissions, claims and releases, once for all:
every line of theirs is to be reached. `... core` runs every test of `tests/scoring`, `audit`,
`reviews` and `api`, which takes long: 95 % of the lines of the arithmetic and of the services.
What other processes run, workers and servers that tests start, is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gates.parts import CORE, PARTS, ROOT, Part

WHOLE = ("permissions", "claims", "releases")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not browser and not service")


def measure(parts: dict[str, Part]) -> list[str]:
    """Run the tests of the parts and print their files; return the parts below their goals."""
    with tempfile.TemporaryDirectory(prefix="label-audit-coverage-") as folder:
        data = f"--data-file={Path(folder, 'lines')}"
        coverage = [sys.executable, "-m", "coverage"]
        tests = list(dict.fromkeys(test for part in parts.values() for test in part.tests))
        source = "--source=audit,reviews,scoring"
        run = [*coverage, "run", data, source, *PYTEST, *tests]
        if subprocess.run(run, cwd=ROOT, env={**os.environ, "CI": ""}, check=False).returncode:
            sys.exit("the tests fail")
        below = []
        for name, part in parts.items():
            goal = 100 if name in WHOLE else 95
            print(f"\n{name}, goal {goal} %", flush=True)  # noqa: T201
            files = f"--include={','.join(str(file) for file in part.list_files())}"
            report = [*coverage, "report", data, files, "--show-missing", f"--fail-under={goal}"]
            if subprocess.run(report, cwd=ROOT, check=False).returncode:
                below.append(name)
    return below


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of core, {', '.join(PARTS)}")
    names = parser.parse_args().parts or WHOLE
    below = measure({name: {**PARTS, "core": CORE}[name] for name in names})
    if below:
        sys.exit(f"below the goal: {', '.join(below)}")


if __name__ == "__main__":
    main()
