"""A whole installation of its own for one test: real commands, real worker processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
from PIL import Image

from scoring.experts.registry import load_expert

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180
# For one command; on a machine that is very busy, starting Python alone takes long.
COMMAND_SECONDS = 300


class Installation:
    """Runs management commands and workers with their state in one folder."""

    def __init__(
        self, home: Path, *, database: str = "", redis: str = "", migrate: bool = True, **more: str
    ) -> None:
        self.home = home
        self.database = database
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("LABEL_AUDIT_")},
            "LABEL_AUDIT_HOME": str(home),
            "LABEL_AUDIT_DATABASE": database,
            "LABEL_AUDIT_REDIS": redis,
            "LABEL_AUDIT_CHUNK_ITEMS": "20",
            "LABEL_AUDIT_CLAIM_SECONDS": "4",
            "LABEL_AUDIT_RECONCILE_SECONDS": "1",
            **more,
        }
        home.mkdir(parents=True, exist_ok=True)
        if migrate:
            self.run("migrate", "--verbosity", "0")

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one management command to its end."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments} ended {done.returncode}: {done.stderr}")
        return done

    def json(self, *arguments: str) -> Any:
        """Run one command with --json and return its document."""
        return json.loads(self.run(*arguments, "--json").stdout)

    @contextmanager
    def worker(
        self, *arguments: str, before: Sequence[str] = (), **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run `manage.py worker` and end it and all it started; what it logs goes to `log`."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*before, sys.executable, "manage.py", "worker", *arguments],
                cwd=ROOT,
                env=self.environment | environment,
                stderr=log,
                stdout=log,
            )
        try:
            yield process
        finally:
            end_tree(process.pid)
            process.wait()

    @property
    def log(self) -> Path:
        return self.home / "worker.log"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database directly, without a process of Django's."""
        if self.database:
            with psycopg.connect(self.database) as connection:
                return connection.execute(sql).fetchall()
        connection = sqlite3.connect(self.home / "label-audit.sqlite3", timeout=20)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def change(self, sql: str) -> None:
        """Change the database directly."""
        if self.database:
            with psycopg.connect(self.database) as connection:
                connection.execute(sql)
            return
        with closing(sqlite3.connect(self.home / "label-audit.sqlite3", timeout=20)) as connection:
            connection.execute(sql)
            connection.commit()

    def chunks_done(self) -> int:
        return int(self.query("SELECT COUNT(*) FROM audit_chunk WHERE work = 'done'")[0][0])

    def running_owners(self) -> list[str]:
        """Return who holds chunks at this moment."""
        return [row[0] for row in self.query("SELECT owner FROM audit_chunk WHERE work='running'")]

    def audit_state(self) -> tuple[str, str]:
        """Return the newest audit's state and hash."""
        state, sha256 = self.query("SELECT state, sha256 FROM audit_audit ORDER BY id DESC")[0]
        return str(state), str(sha256)

    def import_pictures(
        self, slug: str = "pictures", n_items: int = 200, marked: int | None = None
    ) -> None:
        """Bring in small random pictures."""
        self.run("import_dataset", *self.write_pictures(slug, n_items, marked))

    def write_pictures(self, slug: str, n_items: int, marked: int | None = None) -> list[str]:
        """Write small random pictures; the first expert agrees with seven labels in ten.

        Return what `import_dataset` has to be told. The `marked` one has a first pixel by which
        `injection` knows it.
        """
        folder = self.home / slug
        folder.mkdir()
        rng = np.random.default_rng(0)
        pictures = [
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)) for _ in range(n_items)
        ]
        labels = load_expert("stub:4-1").predict(pictures).argmax(axis=1)
        labels[::10] = (labels[::10] + 1) % 4
        labels[1::5] = (labels[1::5] + 2) % 4
        rows = ["key,label,image"]
        for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
            name = f"{number:04d}.png"
            if number == marked:
                picture.putpixel((0, 0), (1, 2, 3))
            picture.save(folder / name)
            rows.append(f"{number:04d},{label},{name}")
        manifest = folder / "labels.csv"
        manifest.write_text("\n".join(rows) + "\n")
        return [slug, str(manifest), "--format", "manifest", "--root", str(folder)]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def kill_tree(pid: int) -> None:
    """Kill -9 a process and everything below it, the parent first."""
    for process in family(pid):
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family(pid), timeout=5)


def end_tree(pid: int) -> None:
    """Ask a process to stop, then end whatever is left of it."""
    members = family(pid)
    for process in members[:1]:
        process.terminate()
    _, alive = psutil.wait_procs(members, timeout=25)
    for process in alive:
        process.kill()


def family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
