"""Measures one run of the engine with stub experts: overhead, memory, first result.

python -m tests.benchmarks.engine --items 10000 --workers 1 2 --seconds 0.25
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.installation import ROOT, Installation, family, wait_until
from tests.faults.scene import servers
from tests.faults.site import site

INSTRUMENT = {"PYTHONPATH": f"{Path(__file__).parent / 'instrument'}:{ROOT}"}
UNIX_TIME = "86400 * (julianday({}) - 2440587.5)"
# Rows made by the database itself: the import isn't what is measured here.
QUESTIONS = """
import sys
from django.db import connection
from audit.models import Dataset, Item, Project
n = {n_items}
project, _ = Project.objects.get_or_create(slug="bench", defaults={{"name": "Bench"}})
dataset = Dataset.objects.create(
    project=project, slug="bench-{n_items}", kind="multiple_choice", source_format="manifest",
    n_items=n, n_classes=4, sha256="0" * 64)
numbers = "generate_series(0, %d) AS s(i)" % (n - 1)
if connection.vendor == "sqlite":
    numbers = ("(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < %d) "
               "SELECT i FROM s) AS s" % (n - 1))
fixed = {{"content_sha256": "", "image": "", "width": 0, "height": 0, "subject": "bench",
         "notices": "[]", "quarantine_code": "", "quarantine_detail": "",
         "choices": '["the first", "the second", "the third", "the fourth"]'}}
values = ", ".join("'%s'" % v if isinstance(v, str) else str(v) for v in fixed.values())
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO audit_item (dataset_id, position, key, given_label, question, %s) "
        "SELECT %d, i, 'q' || i, i %% 4, 'What is the answer to question ' || i || '?', %s FROM %s"
        % (", ".join(fixed), dataset.pk, values, numbers))
"""


@dataclass
class Memory:
    """Peak resident memory of processes by what they are, in MB, watched from a thread."""

    pids: dict[str, int]
    peaks: dict[str, float] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.is_over.wait(0.3):
            for name, pid in self.pids.items():
                for kind, size in sizes(name, pid):
                    self.peaks[kind] = max(self.peaks.get(kind, 0.0), size)


def sizes(name: str, pid: int) -> Iterator[tuple[str, float]]:
    """Yield what belongs to a process we started, each with its own memory."""
    for process in family(pid):
        try:
            line = process.cmdline()
            size = process.memory_info().rss / 2**20
        except psutil.Error:
            continue
        kind = name
        if "celery" in line:
            queue = line[line.index("--queues") + 1] if "--queues" in line else "?"
            is_child = "celery" in " ".join(process.parent().cmdline() if process.parent() else [])
            kind = f"{queue} {'process' if is_child else 'Celery'}"
        yield kind, size


@dataclass(frozen=True, slots=True)
class Run:
    """What one run over one data set took; the last five are means over its chunks."""

    n_items: int
    n_workers: int
    n_chunks: int
    first: float
    scored: float
    peaks: dict[str, float]
    page: float
    in_chunk: float
    in_expert: float
    processor: float
    statements: float
    writes: float

    @property
    def overhead(self) -> float:
        """Seconds a chunk takes one process beyond its expert's."""
        return self.scored * self.n_workers / self.n_chunks - self.in_expert

    def __str__(self) -> str:
        memory = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(self.peaks.items()))
        return (
            f"{self.n_items:,} items, {self.n_workers} workers, {self.n_chunks:,} chunks: first "
            f"{self.first:.2f} s, scored {self.scored:.1f} s = "
            f"{self.n_items / self.scored:,.0f} items/s, overhead {1000 * self.overhead:.1f} ms a "
            f"chunk ({1000 * (self.in_chunk - self.in_expert):.1f} in it, processor "
            f"{1000 * self.processor:.1f}), "
            f"{self.statements:.1f} statements, {self.writes:.1f} writes; "
            f"page {1000 * self.page:.0f} ms; MB: {memory}"
        )


@contextmanager
def installed(stack_name: str, chunk_items: int) -> Iterator[Installation]:
    """Yield an empty installation."""
    settings = {"LABEL_AUDIT_CHUNK_ITEMS": str(chunk_items), "LABEL_AUDIT_CLAIM_SECONDS": "30"}
    with tempfile.TemporaryDirectory(prefix="label-audit-bench-") as name, ExitStack() as stack:
        home = Path(name)
        home.chmod(0o755)
        if stack_name == "embedded":
            yield Installation(home / "home", **settings)
            return
        postgres, redis = stack.enter_context(servers(home))
        yield Installation(
            home / "home", database=postgres.get_uri(), redis=redis.connection_url, **settings
        )


def measure(
    installation: Installation,
    n_items: int,
    n_workers: int,
    *,
    seconds: float = 0.0,
    is_cold: bool = False,
) -> Run:
    """Score one data set by one expert that takes so many seconds a chunk.

    The workers are running already unless `is_cold`.
    """
    slug = f"bench-{n_items}"
    if not installation.query(f"SELECT 1 FROM audit_dataset WHERE slug = '{slug}'"):  # noqa: S608
        installation.run("shell", "-c", QUESTIONS.format(n_items=n_items))
    for table in ("audit_unscorableitem", "audit_chunk", "audit_scoreset"):
        installation.change(f"DELETE FROM {table}")  # noqa: S608
    log = installation.home / "meter"
    shutil.rmtree(log, ignore_errors=True)
    log.mkdir()
    environment = {**INSTRUMENT, "BENCH_SECONDS": str(seconds), "BENCH_LOG": str(log)}
    with ExitStack() as stack:
        person = stack.enter_context(site(installation))
        pids = {"web": person.pid}
        if not is_cold:
            start_workers(stack, installation, n_workers, pids, environment)
        installation.run("run_expert", slug, "stub:4-1")
        asked = time.time()
        if is_cold:
            start_workers(stack, installation, n_workers, pids, environment, wait=False)
        memory = Memory(pids)
        watcher = threading.Thread(target=memory.watch)
        watcher.start()
        try:
            pages = []
            while installation.query("SELECT state FROM audit_scoreset")[0][0] == "scoring":
                pages.append(person.ask("/progress/")[1])
                time.sleep(0.5)
        finally:
            memory.is_over.set()
            watcher.join()
    state = installation.query("SELECT state FROM audit_scoreset")[0][0]
    assert state == "ready", state
    requested, first = read_times(installation)
    return Run(
        n_items,
        n_workers,
        installation.chunks_done(),
        first - (asked if is_cold else requested),
        scoring_seconds(installation),
        memory.peaks,
        statistics.median(pages) if pages else 0.0,
        *read_meter(log),
    )


def read_meter(log: Path) -> tuple[float, float, float, float, float]:
    """Return a chunk's mean seconds, its expert's, the processor's, its statements and writes.

    Without the first of every process, which brings in libraries.
    """
    rows = []
    for path in log.glob("*.jsonl"):
        rows += [json.loads(line)[:5] for line in path.read_text().splitlines()[1:]]
    means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    return means[0], means[1], means[2], means[3], means[4]


def read_times(installation: Installation) -> tuple[float, float]:
    """Return when the scores were asked for and when the first chunk was there, as time.time()."""
    instant = "EXTRACT(EPOCH FROM {})" if installation.database else UNIX_TIME
    (times,) = installation.query(
        f"SELECT {instant.format('MIN(created_at)')}, {instant.format('MIN(c.finished_at)')} "  # noqa: S608
        "FROM audit_scoreset JOIN audit_chunk c ON score_set_id = audit_scoreset.id"
    )
    return float(times[0]), float(times[1])


def scoring_seconds(installation: Installation) -> float:
    """Return the time from the first claim to the last commit, by the database's clock."""
    if installation.database:
        (span,), *_ = installation.query(
            "SELECT EXTRACT(EPOCH FROM MAX(finished_at) - MIN(claimed_at)) FROM audit_chunk"
        )
    else:
        (span,), *_ = installation.query(
            "SELECT 86400 * (julianday(MAX(finished_at)) - julianday(MIN(claimed_at))) "
            "FROM audit_chunk"
        )
    return float(span)


def start_workers(
    stack: ExitStack,
    installation: Installation,
    n_workers: int,
    pids: dict[str, int],
    environment: dict[str, str],
    *,
    wait: bool = True,
) -> None:
    """Start one engine with so many expert processes; wait until it takes messages."""
    arguments = ["--devices", "cpu", "--concurrency", str(n_workers)]
    pids["engine"] = stack.enter_context(installation.worker(*arguments, **environment)).pid
    if wait:
        # A wake-up for nothing, answered by everybody who listens.
        wait_until(lambda: len(family(pids["engine"])) >= 4 + n_workers, "processes are there")
        time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--stack", choices=["embedded", "production"], default="embedded")
    parser.add_argument("--chunk-items", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0, help="what the expert takes a chunk")
    options = parser.parse_args()
    for n_items in options.items:
        with installed(options.stack, options.chunk_items) as installation:
            for n_workers in options.workers:
                run = measure(installation, n_items, n_workers, seconds=options.seconds)
                sys.stdout.write(f"{options.stack}: {run}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
