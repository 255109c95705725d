"""The floor under the stage: one fused pass in C over both experts, as fast as a compiler gets."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.stage import EXPERTS, load

FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")


def measure_floor(folder: Path, n_runs: int = 5) -> float | None:
    """Return the CPU seconds of one pass over both experts, or None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "fused_pass.so"
    source = Path(__file__).with_name("fused_pass.c")
    done = subprocess.run([compiler, *FLAGS, "-o", library, source, "-lm"], check=False)
    if done.returncode != 0:
        return None
    run_pass = ctypes.CDLL(str(library)).fused_pass
    matrices = [load(folder, name) for name in EXPERTS]
    n_items, n_classes = matrices[0].shape
    top1, confidence = np.empty(n_items, np.int32), np.empty(n_items, np.float32)
    seconds = []
    for _ in range(n_runs):
        started = time.process_time()
        for logits in matrices:
            run_pass(
                ctypes.c_void_p(logits.ctypes.data),
                ctypes.c_size_t(n_items),
                ctypes.c_size_t(n_classes),
                ctypes.c_float(0.7),
                ctypes.c_void_p(top1.ctypes.data),
                ctypes.c_void_p(confidence.ctypes.data),
            )
        seconds.append(time.process_time() - started)
    expected = np.asarray(matrices[-1][:1000]).argmax(axis=1)
    if not np.array_equal(top1[:1000], expected):
        raise RuntimeError("the fused pass in C does not find the top classes")
    return min(seconds)
