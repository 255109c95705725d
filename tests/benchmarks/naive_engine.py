"""The engine's peer: a plain Celery task per chunk that reads, scores and upserts one row.

No claim, no shard, no hash, no repair: what kills it loses the chunk. Its time is what a task
costs at least. `measure_naive` runs it in an installation, beside the engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from celery import Celery

from tests.faults.installation import ROOT, Installation, end_tree, wait_until

QUEUE = "naive"
TABLE = "CREATE TABLE bench_naive (start integer PRIMARY KEY, top1 text, began float, ended float)"
UPSERT = (
    "INSERT INTO bench_naive VALUES (%s, %s, %s, %s) ON CONFLICT (start) DO UPDATE SET "
    "top1 = excluded.top1, began = excluded.began, ended = excluded.ended"
)
SEND = """
from tests.benchmarks.naive_engine import app
for start in range(0, {n_items}, {chunk_items}):
    app.send_task("naive_chunk", ("{slug}", start, start + {chunk_items}), queue="naive")
"""

app = Celery("naive")
if "LABEL_AUDIT_HOME" in os.environ:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audit.config.settings")
    django.setup()
    from audit.config.celery import broker_settings

    app.conf.update(
        **broker_settings(), task_ignore_result=True, result_backend=None, task_default_queue=QUEUE
    )


@app.task(name="naive_chunk")
def naive_chunk(slug: str, start: int, stop: int) -> None:
    """Score a chunk with the same expert that costs nothing, and write one row."""
    from django.db import connection

    from audit.models import Item
    from scoring.experts.base import Question
    from scoring.experts.registry import load_expert

    began = time.time()
    rows = Item.objects.filter(dataset__slug=slug, position__gte=start, position__lt=stop)
    questions = [
        Question(question, tuple(choices), subject, key)
        for key, question, choices, subject in rows.values_list(
            "key", "question", "choices", "subject"
        )
    ]
    logits = load_expert("stub:4-1").predict(questions)
    top1 = "".join(map(str, logits.argmax(axis=1).tolist()))
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, (start, top1, began, time.time()))


@contextmanager
def naive_worker(installation: Installation) -> Iterator[int]:
    """Run one plain Celery worker with one process."""
    command = [
        sys.executable, "-m", "celery", "--quiet", "-A", "tests.benchmarks.naive_engine", "worker",
        "--queues", QUEUE, "--concurrency", "1", "--loglevel", "ERROR",
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    with Path(installation.home, "naive.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=installation.environment, stdout=log, stderr=log
        )
    try:
        yield process.pid
    finally:
        end_tree(process.pid)
        process.wait()


def measure_naive(installation: Installation, n_items: int, chunk_items: int) -> float:
    """Return the seconds per chunk from the second chunk on (the first brings in libraries)."""
    installation.change("DROP TABLE IF EXISTS bench_naive")
    installation.change(TABLE)
    done = "SELECT COUNT(*), MIN(ended), MAX(ended) FROM bench_naive"
    n_chunks = n_items // chunk_items
    with naive_worker(installation):
        facts = {"n_items": n_items, "chunk_items": chunk_items, "slug": f"bench-{n_items}"}
        installation.run("shell", "-c", SEND.format(**facts))
        wait_until(lambda: installation.query(done)[0][0] == n_chunks, "the naive chunks", 300)
    _, first, last = installation.query(done)[0]
    return float(last - first) / (n_chunks - 1)
