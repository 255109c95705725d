"""Runs one way of doing a job as a process of its own, and reads what it cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


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
