"""Which devices this machine has for experts, found without loading CUDA.

A process that has initialised CUDA, or run a single torch operation, must not fork: its children
hang. So the engine's processes ask the driver's own tool and leave torch to their children.
"""

from __future__ import annotations

import os
import shutil
import subprocess

VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE_SECONDS = 20


def list_gpus() -> list[str]:
    """Return the ids of the NVIDIA GPUs this process may use, fit for CUDA_VISIBLE_DEVICES."""
    if VISIBLE in os.environ:
        named = [part.strip() for part in os.environ[VISIBLE].split(",")]
        # CUDA stops reading at the first id that isn't one; -1 is the customary "none".
        return named[: named.index("-1")] if "-1" in named else [part for part in named if part]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(  # noqa: S603 - the driver's tool, by its full path
            [tool, "--query-gpu=uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.stdout.splitlines() if line.strip()]


def choose_devices(wanted: str) -> list[str]:
    """Return the GPUs to use for ``auto``, ``cpu`` or a list of ids; none means the CPU."""
    if wanted == "auto":
        return list_gpus()
    if wanted == "cpu":
        return []
    return [part.strip() for part in wanted.split(",") if part.strip()]
