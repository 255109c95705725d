"""Measures the engine with stub experts: overhead, growth, memory, first results.

python -m tests.benchmarks.engine --items 10000 --workers 1 2 --delay 1
python -m tests.benchmarks.engine --items 10000 100000 1000000 --stack production
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.installation import Installation, family, wait_until
from tests.faults.scene import servers
from tests.faults.site import site

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


def processor_seconds(pid: int) -> float:
    """Return what a process and all below it have used of the processor, ended ones too."""
    return sum(sum(process.cpu_times()) for process in family(pid))


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
    """What one run over one data set took."""

    n_items: int
    n_workers: int
    n_chunks: int
    first: float
    scored: float
    whole: float
    peaks: dict[str, float]
    page: float
    processor: float

    def __str__(self) -> str:
        rate = self.n_items / self.scored
        memory = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(self.peaks.items()))
        return (
            f"{self.n_items:>10,} items {self.n_workers:>2} workers {self.n_chunks:>6,} chunks: "
            f"first {self.first:6.2f} s, scored {self.scored:7.1f} s = {rate:8,.0f} items/s, "
            f"CPU {1000 * self.processor / self.n_chunks:5.1f} ms a chunk, "
            f"closed {self.whole - self.scored:5.1f} s later, page {1000 * self.page:4.0f} ms; "
            f"MB: {memory}"
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
    installation: Installation, n_items: int, n_workers: int, expert: str, *, is_cold: bool = False
) -> Run:
    """Score one data set by one expert; the workers are running already unless `is_cold`."""
    slug = f"bench-{n_items}"
    if not installation.query(f"SELECT 1 FROM audit_dataset WHERE slug = '{slug}'"):  # noqa: S608
        installation.run("shell", "-c", QUESTIONS.format(n_items=n_items))
    installation.change("DELETE FROM audit_unscorableitem")
    installation.change("DELETE FROM audit_chunk")
    installation.change("DELETE FROM audit_scoreset")
    with ExitStack() as stack:
        person = stack.enter_context(site(installation))
        pids = {"web": person.pid}
        if not is_cold:
            start_workers(stack, installation, n_workers, pids)
        installation.run("run_expert", slug, expert)
        asked = time.monotonic()
        if is_cold:
            start_workers(stack, installation, n_workers, pids, wait=False)
        memory = Memory(pids)
        watcher = threading.Thread(target=memory.watch)
        watcher.start()
        try:
            wait_until(lambda: installation.chunks_done() >= 1, "a first result", 120)
            first = time.monotonic() - asked
            used = processor_seconds(pids["engine"])
            pages = []
            while installation.query("SELECT state FROM audit_scoreset")[0][0] == "scoring":
                pages.append(person.ask("/progress/")[1])
                time.sleep(0.5)
            whole = time.monotonic() - asked
            used = processor_seconds(pids["engine"]) - used
        finally:
            memory.is_over.set()
            watcher.join()
    state = installation.query("SELECT state FROM audit_scoreset")[0][0]
    assert state == "ready", state
    return Run(
        n_items,
        n_workers,
        installation.query("SELECT COUNT(*) FROM audit_chunk")[0][0],
        first,
        scoring_seconds(installation),
        max(whole, scoring_seconds(installation)),
        memory.peaks,
        sorted(pages)[len(pages) // 2] if pages else 0.0,
        used,
    )


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
    *,
    wait: bool = True,
) -> None:
    """Start one engine with so many expert processes; wait until it takes messages."""
    arguments = ["--devices", "cpu", "--concurrency", str(n_workers)]
    pids["engine"] = stack.enter_context(installation.worker(*arguments)).pid
    if wait:
        # A wake-up for nothing, answered by everybody who listens.
        wait_until(lambda: len(family(pids["engine"])) >= 4 + n_workers, "processes are there")
        time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--stack", choices=["embedded", "production"], default="embedded")
    parser.add_argument("--chunk-items", type=int, default=256)
    parser.add_argument("--delay", type=int, default=0, help="milliseconds an item")
    options = parser.parse_args()
    expert = f"stub:4-1-{options.delay}"
    for n_items in options.items:
        with installed(options.stack, options.chunk_items) as installation:
            for n_workers in options.workers:
                run = measure(installation, n_items, n_workers, expert)
                sys.stdout.write(f"{options.stack}, {expert}: {run}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
