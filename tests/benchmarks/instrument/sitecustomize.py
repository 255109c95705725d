"""Loaded by every Python process whose PYTHONPATH names this folder: a stub expert of known cost.

BENCH_SECONDS=S: the stub expert takes S seconds for any chunk, and next to nothing beyond.
BENCH_LOG=FOLDER: for every chunk a line with its seconds, the expert's seconds, the processor's
beyond the expert's, how many statements it sent to the database, and how many of them write.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WRITES = ("INSERT", "UPDATE", "DELETE")


class Meter:
    """What the chunk in hand has cost so far."""

    expert = 0.0
    processor = 0.0
    statements = 0
    writes = 0

    def count(self, execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        self.statements += 1
        self.writes += sql.startswith(WRITES)
        return execute(sql, params, many, context)


def predict_at_once(seconds: float, meter: Meter) -> Any:
    """Return a predict that knows the truth, the number in the key modulo the classes, noisily."""
    import numpy as np

    n_noisy = 1 << 16
    noise = np.random.default_rng(0).normal(scale=2.0, size=(n_noisy, 64)).astype(np.float32)

    def predict(self: Any, inputs: Sequence[Any]) -> Any:
        started, used = time.perf_counter(), time.process_time()
        numbers = np.fromiter((int(each.key[1:]) for each in inputs), dtype=np.int64)
        places = (numbers * 7919 + self._seed * 104_729) % n_noisy
        logits = noise[places, : self._n_classes]
        logits[np.arange(len(numbers)), numbers % self._n_classes] += 6.0
        if seconds:
            time.sleep(max(seconds - (time.perf_counter() - started), 0.0))
        meter.expert += time.perf_counter() - started
        meter.processor -= time.process_time() - used
        return logits

    return predict


def instrument(**_: Any) -> None:
    """Patch this process, a pool's: the parent stays as it is."""
    from django.db import connection

    from audit.services import chunks
    from scoring.experts.stub_expert import StubExpert

    meter = Meter()
    StubExpert.predict = predict_at_once(  # type: ignore[method-assign]
        float(os.environ.get("BENCH_SECONDS", "0")), meter
    )
    folder = os.environ.get("BENCH_LOG")
    if not folder:
        return
    whole = chunks.score_pending
    log = Path(folder, f"{os.getpid()}.jsonl").open("a", buffering=1)  # noqa: SIM115 - until the end

    def score_pending(chunk: Any) -> bool:
        meter.expert, meter.processor, meter.statements, meter.writes = 0.0, 0.0, 0, 0
        started, used = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(meter.count):
            done = whole(chunk)
        seconds = time.perf_counter() - started
        meter.processor += time.process_time() - used
        facts = [seconds, meter.expert, meter.processor, meter.statements, meter.writes, done]
        log.write(json.dumps(facts) + "\n")
        return done

    chunks.score_pending = score_pending


if os.environ.get("BENCH_SECONDS") is not None:
    from celery.signals import worker_process_init

    worker_process_init.connect(instrument, weak=False)
