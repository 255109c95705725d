"""Faults of PostgreSQL: killed, restarted, out of connections, unreachable for one worker."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psycopg

from tests.faults.campaign import fault
from tests.faults.installation import Installation, wait_until
from tests.faults.scene import (
    SLOW,
    Scene,
    answers,
    kill_postgres,
    production,
    start_postgres,
)
from tests.faults.site import Person, site


@fault("F22", "PostgreSQL killed for eight seconds, worker and site left running", production(SLOW))
def killed(scene: Scene) -> None:
    """Pages answer 503 meanwhile and come back by themselves."""
    with site(scene.installation) as person, scene.worker():
        scene.start_audit(chunks=3)
        kill_postgres(scene)
        status, seconds, page = person.ask("/")
        assert status == 503, (status, page)
        assert "away for a moment" in page
        scene.notes.append(f"503 after {1000 * seconds:.0f} ms")
        time.sleep(8)
        start_postgres(scene)
        scene.clear()
        wait_until(lambda: person.ask("/")[0] == 200, "the site is back", 20)
        scene.notes.append(f"site back after {time.monotonic() - scene.cleared_at:.1f} s")
        scene.recovers()


@fault("F23", "PostgreSQL killed for three seconds while verdicts are sent", production())
def killed_while_judging(scene: Scene) -> None:
    """What is sent again with its key is stored once, and all that was acknowledged is."""
    with scene.worker():
        scene.start_audit()
        scene.recovers()
        scene.installation.run("draw_sample", "1", "--size", "60", "--unflagged", "20")
        with site(scene.installation) as person:
            sent = judge_all(person, scene)
    stored = scene.installation.query("SELECT idempotency_key FROM reviews_judgment")
    assert sorted(str(key) for (key,) in stored) == sorted(sent)
    scene.notes.append(f"{len(sent)} verdicts acknowledged and stored once")
    # The audit was ready before: times are of no meaning.
    scene.finished_after = 0.0


def judge_all(person: Person, scene: Scene) -> list[str]:
    """Judge thirty items; kill the server at the tenth; send again what wasn't acknowledged."""
    acknowledged: list[str] = []
    killer = threading.Timer(0, lambda: None)
    while len(acknowledged) < 30:
        _, _, text = person.ask("/audits/1/review/lease/", {})
        for item in json.loads(text)["items"]:
            if len(acknowledged) == 10:
                killer = threading.Thread(target=restart, args=[scene])
                killer.start()
            body = {
                "key": str(uuid4()), "ticket": item["ticket"], "mode": item["mode"], "note": "",
                "verdict": "unsure", "corrected_label": None, "milliseconds": 800,
            }  # fmt: skip
            deadline = time.monotonic() + 60
            while (status := person.ask("/audits/1/review/judgments/", body)[0]) != 200:
                assert status in {0, 503}, status
                assert time.monotonic() < deadline
                time.sleep(0.3)
            acknowledged.append(body["key"])
    killer.join()
    return acknowledged


def restart(scene: Scene) -> None:
    kill_postgres(scene)
    time.sleep(3)
    start_postgres(scene)


@fault("F24", "every connection of PostgreSQL taken", production(SLOW))
def no_connection_left(scene: Scene) -> None:
    """Pages answer 503, not 500; the worker waits."""
    with site(scene.installation) as person, scene.worker() as worker, ExitStack() as taken:
        scene.start_audit(chunks=2)
        kill_postgres(scene)
        start_postgres(scene)
        take_all(scene.installation.database, taken)
        status, _, page = person.ask("/")
        assert status in {200, 503}, page  # 200 where it was quicker to connect again than we
        scene.notes.append(f"the site answered {status}")
        time.sleep(5)
        assert worker.poll() is None
        taken.close()
        scene.clear()
        wait_until(lambda: person.ask("/")[0] == 200, "the site is back", 20)
        scene.recovers()


def take_all(database: str, taken: ExitStack) -> None:
    while True:
        try:
            taken.enter_context(psycopg.connect(database))
        except psycopg.OperationalError:
            return


class Relay:
    """Passes connections on to PostgreSQL's socket until it is told to stop."""

    def __init__(self, target: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="label-audit-relay-"))
        self._target = target
        self._is_open = threading.Event()
        self._is_open.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Pass nothing on any more; nobody is told."""
        self._is_open.clear()

    def thaw(self) -> None:
        self._is_open.set()

    def _accept(self) -> None:
        while True:
            ours, _ = self._listener.accept()
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(self._target)
            for source, sink in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pass_on, args=[source, sink], daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                self._is_open.wait()
                sink.sendall(block)
        sink.close()


@contextmanager
def relayed(installation: Installation) -> Iterator[tuple[Relay, str]]:
    """Yield a relay to the installation's database, and the address by way of it."""
    with psycopg.connect(installation.database) as connection:
        host = connection.info.host
    relay = Relay(os.path.join(host, ".s.PGSQL.5432"))  # noqa: PTH118
    yield relay, installation.database.replace(host, str(relay.folder))


@fault("F34", "the database unreachable for one of two workers", production(SLOW))
def unreachable_for_one(scene: Scene) -> None:
    """The other takes its chunk over; what the first commits late is refused."""
    with relayed(scene.installation) as (relay, address):
        scene.start_audit()
        with scene.worker(LABEL_AUDIT_DATABASE=address):
            scene.await_chunks(2)
            owner = scene.await_running()
            relay.freeze()
            with scene.worker():
                scene.clear()
                wait_until(
                    lambda: owner not in scene.installation.running_owners(), "it is taken over"
                )
                scene.notes.append(f"taken over after {time.monotonic() - scene.cleared_at:.1f} s")
                scene.await_chunks(15)
                relay.thaw()
                scene.recovers()


@fault("F35", "a chunk claimed by somebody who never gave a sign of life", production())
def never_seen(scene: Scene) -> None:
    """It is taken over when the claim has run out."""
    scene.start_audit()
    scene.installation.change(
        "UPDATE audit_chunk SET work = 'running', epoch = 1, attempts = 1, "
        "owner = 'nowhere:1', claimed_at = now(), heartbeat_at = NULL WHERE start = 0"
    )
    with scene.worker():
        scene.recovers()


@fault("B154", "a worker started while the database is away", production())
def too_early(scene: Scene) -> None:
    """It waits."""
    scene.start_audit()
    kill_postgres(scene)
    with scene.worker() as worker:
        time.sleep(8)
        assert worker.poll() is None, "it gave up"
        assert not answers(scene.installation.database)
        start_postgres(scene)
        scene.recovers()
