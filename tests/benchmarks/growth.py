"""Shows what grows with the number of items: a whole audit by two stub experts that cost nothing.

python -m tests.benchmarks.growth --items 10000 100000 1000000 --workers 1 2 --stack embedded

One line a run: seconds of every stage (and the processor's, which a busy machine changes less),
writes per chunk, messages, memory, disk, and how long pages take.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import redis

from tests.benchmarks.engine import (
    INSTRUMENT,
    Memory,
    installed,
    read_meter,
    scoring_seconds,
    start_workers,
)
from tests.faults.installation import ROOT, Installation, family
from tests.faults.site import Person, site

EXPERTS = ("stub:4-1", "stub:4-2")
CHUNK_ITEMS = 256
# One label in so many is wrong.
PLANTED = 33
PAGES = (
    "/progress/",
    "/audits/1/",
    "/audits/1/calibration/",
    "/audits/1/queue/?method=calibrated_ensemble",
    "/audits/1/queue/?method=self_confidence&page=20",
    "/audits/1/sample/",
)
LINE = (
    '{"key": "q%d", "label": %d, "question": "What is the answer to question %d?", '
    '"choices": ["the first", "the second", "the third", "the fourth"]}\n'
)


@dataclass
class Messages:
    """The longest that the queue of wake-ups ever was, looked at from a thread."""

    installation: Installation
    longest: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        address = self.installation.environment["LABEL_AUDIT_REDIS"]
        client = redis.Redis.from_url(address) if address else None
        folder = self.installation.home / "broker"
        while not self.is_over.wait(0.05):
            waiting = (
                client.llen("experts") if client else sum(1 for _ in folder.rglob("*experts*"))
            )
            self.longest = max(self.longest, int(waiting))


def write_questions(path: Path, n_items: int) -> None:
    with path.open("w") as file:
        for number in range(n_items):
            label = (number + (number % PLANTED == 0)) % 4
            file.write(LINE % (number, label, number))


def run_measured(installation: Installation, *arguments: str) -> tuple[float, float, float]:
    """Run a command; return its seconds, the processor's, and its peak memory in MB."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.DEVNULL,
    )
    peak, watched = 0.0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss / 2**20)
        except psutil.Error:
            break
        time.sleep(0.1)
    assert process.wait() == 0, arguments
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, used, peak


def processor_seconds(pid: int) -> float:
    """Return what a process and all below it have used of the processor, ended ones too."""
    return sum(sum(process.cpu_times()) for process in family(pid))


def measure(installation: Installation, n_items: int, n_workers: int) -> Iterator[str]:
    """Yield what was measured, from the import to the pages of the finished audit."""
    questions = installation.home / "questions.jsonl"
    write_questions(questions, n_items)
    imported = run_measured(
        installation, "import_dataset", "growth", str(questions), "--format", "manifest"
    )
    yield "import {:.1f} s (processor {:.1f}), {:.0f} MB".format(*imported)
    log = installation.home / "meter"
    log.mkdir()
    environment = {**INSTRUMENT, "BENCH_SECONDS": "0", "BENCH_LOG": str(log)}
    with ExitStack() as stack:
        person = stack.enter_context(site(installation))
        pids = {"web": person.pid}
        start_workers(stack, installation, n_workers, pids, environment)
        memory, messages = Memory(pids), Messages(installation)
        watchers = [threading.Thread(target=each.watch) for each in (memory, messages)]
        used = processor_seconds(pids["engine"])
        planned = run_measured(installation, "audit", "growth", "--experts", *EXPERTS)
        yield f"plan {planned[0]:.1f} s (processor {planned[1]:.1f})"
        for watcher in watchers:
            watcher.start()
        polls = wait_for_audit(installation, person)
        memory.is_over.set()
        messages.is_over.set()
        for watcher in watchers:
            watcher.join()
        used = processor_seconds(pids["engine"]) - used
        yield describe_scoring(installation, n_items, log)
        (seconds,) = installation.query("SELECT seconds FROM audit_audit")[0]
        stages = seconds if isinstance(seconds, dict) else json.loads(seconds)
        n_flags = installation.query("SELECT COUNT(*) FROM audit_flag")[0][0]
        yield (
            ", ".join(f"{name} {value:.1f} s" for name, value in stages.items())
            + f", {n_flags:,} flags; processor of the engine in all {used:.1f} s"
        )
        yield f"messages waiting at most {messages.longest}"
        yield "pages: " + ", ".join(f"{path} {ms:.0f} ms" for path, ms in time_pages(person))
        yield f"progress page while it ran: median {1000 * statistics.median(polls):.0f} ms"
        peaks = sorted(memory.peaks.items())
        yield "MB: " + ", ".join(f"{kind} {size:.0f}" for kind, size in peaks)
    yield "on disk, MB: " + ", ".join(f"{name} {mb:.1f}" for name, mb in weigh(installation))


def wait_for_audit(installation: Installation, person: Person) -> list[float]:
    """Wait for the audit's end; return how long its progress page took meanwhile."""
    polls = []
    while installation.audit_state()[0] in {"scoring", "calibrating"}:
        polls.append(person.ask("/audits/1/progress/")[1])
        time.sleep(0.5)
    assert installation.audit_state()[0] == "ready", installation.audit_state()
    return polls


def describe_scoring(installation: Installation, n_items: int, log: Path) -> str:
    scored, n_scores = scoring_seconds(installation), n_items * len(EXPERTS)
    n_chunks = installation.chunks_done()
    in_chunk, in_expert, processor, statements, writes = read_meter(log)
    return (
        f"score {scored:.1f} s = {n_scores / scored:,.0f} items/s, {n_chunks:,} chunks of "
        f"{1000 * in_chunk:.1f} ms ({1000 * in_expert:.1f} the expert, {1000 * processor:.1f} "
        f"the processor beyond), {statements:.1f} statements, {writes:.2f} writes each"
    )


def time_pages(person: Person) -> Iterator[tuple[str, float]]:
    for path in PAGES:
        times = []
        for _ in range(3):
            status, seconds, _ = person.ask(path)
            assert status == 200, (path, status)
            times.append(seconds)
        yield path, 1000 * statistics.median(times)


def weigh(installation: Installation) -> Iterator[tuple[str, float]]:
    """Yield what the largest tables and the files weigh."""
    if installation.database:
        with psycopg.connect(installation.database) as connection:
            for table in ("audit_item", "audit_flag", "audit_chunk"):
                sql = "SELECT pg_total_relation_size(%s::regclass)"
                row = connection.execute(sql, (table,)).fetchone()
                assert row is not None
                yield table, row[0] / 2**20
    else:
        yield "SQLite", (installation.home / "label-audit.sqlite3").stat().st_size / 2**20
    for folder in ("scores", "audits"):
        files = [path for path in (installation.home / folder).rglob("*") if path.is_file()]
        yield f"{folder} ({len(files):,} files)", sum(p.stat().st_size for p in files) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--stack", choices=["embedded", "production"], default="embedded")
    parser.add_argument("--chunk-items", type=int, default=CHUNK_ITEMS)
    options = parser.parse_args()
    for n_items in options.items:
        for n_workers in options.workers:
            sys.stdout.write(f"{options.stack}, {n_items:,} items, {n_workers} workers\n")
            with installed(options.stack, options.chunk_items) as installation:
                for line in measure(installation, n_items, n_workers):
                    sys.stdout.write(f"  {line}\n")
                    sys.stdout.flush()
                shutil.rmtree(installation.home / "scores", ignore_errors=True)


if __name__ == "__main__":
    main()
