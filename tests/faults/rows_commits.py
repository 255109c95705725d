"""Kills around commits, imports and exports, and a database that somebody else has locked."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.faults.campaign import fault
from tests.faults.installation import ROOT, wait_until
from tests.faults.scene import INJECTED, QUICK, SLOW, Scene, embedded, pictures, production
from tests.faults.site import Person, site

N_ROWS, N_EXPORTS = 10_000, 20


def make_ready(scene: Scene) -> None:
    """Have the audit finished and a sample drawn, so that people can judge."""
    with scene.worker():
        scene.start_audit()
        scene.recovers()
    scene.installation.run("draw_sample", "1", "--size", "60", "--unflagged", "20")
    # The audit was ready before the fault: times are of no meaning.
    scene.finished_after = 0.0


def take_verdict(person: Person) -> dict[str, Any]:
    """Return a verdict on a leased item, ready to be sent."""
    item = json.loads(person.ask("/audits/1/review/lease/", {})[2])["items"][0]
    return {
        "key": str(uuid4()), "ticket": item["ticket"], "mode": item["mode"], "note": "",
        "verdict": "unsure", "corrected_label": None, "milliseconds": 800,
    }  # fmt: skip


def send(person: Person, verdict: dict[str, Any]) -> tuple[int, float, str]:
    return person.ask("/audits/1/review/judgments/", verdict)


def n_judgments(scene: Scene) -> int:
    return int(scene.installation.query("SELECT COUNT(*) FROM reviews_judgment")[0][0])


@fault(
    "F26", "SQLite locked by somebody else for ten seconds while a verdict is sent", embedded(QUICK)
)
def locked(scene: Scene) -> None:
    """The site waits 5 s, then answers 503; sent again with its key, the verdict is stored once."""
    make_ready(scene)
    with site(scene.installation) as person:
        verdict = take_verdict(person)
        file = scene.installation.home / "label-audit.sqlite3"
        with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            started = time.monotonic()
            status, seconds, _ = send(person, verdict)
            assert (status, n_judgments_of(other)) == (503, 0), status
            assert seconds < 8, seconds
            scene.notes.append(f"503 after {seconds:.1f} s")
            time.sleep(max(10 - (time.monotonic() - started), 0))
            other.execute("ROLLBACK")
        assert send(person, verdict)[0] == 200
        assert send(person, verdict)[0] == 200
    assert n_judgments(scene) == 1


# Sequences aren't rolled back, so each try of a verdict counts; only later ones than `lost` pass.
LOSE = """
CREATE SEQUENCE tries;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {lost} THEN RAISE EXCEPTION USING ERRCODE = {sqlstate}; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER lose BEFORE INSERT ON reviews_judgment FOR EACH ROW EXECUTE FUNCTION lose();
"""
WIN = "DROP TRIGGER lose ON reviews_judgment; DROP FUNCTION lose; DROP SEQUENCE tries;"


@fault("F25", "PostgreSQL refuses verdicts for a deadlock or a conflict", production(QUICK))
def conflicts(scene: Scene) -> None:
    """Three are tried again unnoticed, then 503; sent again with its key, stored once."""
    make_ready(scene)
    with (
        site(scene.installation) as person,
        psycopg.connect(scene.installation.database, autocommit=True) as database,
    ):
        for stored, (sqlstate, lost) in enumerate([("40001", 3), ("40P01", 3), ("40001", 4)], 1):
            database.execute(sql.SQL(LOSE).format(lost=lost, sqlstate=sqlstate))
            verdict = take_verdict(person)
            status, seconds, _ = send(person, verdict)
            assert status == (200 if lost <= 3 else 503), status
            assert database.execute("SELECT last_value FROM tries").fetchone() == (4,)
            scene.notes.append(f"{lost} x {sqlstate}: {status} after {1000 * seconds:.0f} ms")
            database.execute(WIN)
            assert send(person, verdict)[0] == 200
            assert n_judgments(scene) == stored


def n_judgments_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM reviews_judgment").fetchone()[0])


def kill_at_commit(scene: Scene, moment: str) -> None:
    """Kill a web process before or after it commits a verdict; send it again."""
    make_ready(scene)
    flag = scene.installation.home / "kill"
    scene.installation.environment |= {"PYTHONPATH": INJECTED, "FAULT_AT_COMMIT": str(flag)}
    with site(scene.installation) as person:
        verdict = take_verdict(person)
        flag.write_text(moment)
        assert send(person, verdict)[0] == 0, "the process lived"
        assert n_judgments(scene) == (moment == "after")
        wait_until(lambda: send(person, verdict)[0] == 200, "the verdict is taken")
        replayed = json.loads(send(person, verdict)[2])
        assert replayed["replayed"], replayed
    assert n_judgments(scene) == 1


@fault("F27", "kill -9 of a web process between a verdict's commit and the answer", embedded(QUICK))
def killed_after_commit(scene: Scene) -> None:
    """Sent again with its key, the verdict is found and stored once."""
    kill_at_commit(scene, "after")


@fault("F28", "kill -9 of a web process just before it commits a verdict", embedded(QUICK))
def killed_before_commit(scene: Scene) -> None:
    """Nothing was stored; sent again, it is stored once."""
    kill_at_commit(scene, "before")


@fault(
    "F39",
    "kill -9 of a pool process just before, then just after a chunk's commit",
    production(SLOW),
)
def killed_around_commit(scene: Scene) -> None:
    """Either all of the chunk is there or nothing."""
    flag = scene.installation.home / "kill"
    with scene.worker(PYTHONPATH=INJECTED, FAULT_AT_CHUNK=str(flag)):
        scene.start_audit(chunks=2)
        for moment in ("before", "after"):
            flag.write_text(moment)
            wait_until(lambda: not flag.exists(), f"a process is killed {moment} a commit")
        scene.recovers(attempts=2)


@fault("F38", "wake-ups noted as sent, their sender dead before it sent them", production())
def never_sent(scene: Scene) -> None:
    """They are sent within 10 s."""
    with scene.worker():
        scene.start_audit(chunks=3)
        scene.change_audit("cancel_audit")
        wait_until(lambda: not scene.installation.running_owners(), "the chunk in hand is done")
        scene.broker.flushall()
        scene.installation.change(
            "UPDATE audit_chunk SET announced_at = now() WHERE work = 'pending'"
        )
        scene.change_audit("resume_audit")
        scene.recovers()
    assert scene.recovered_after < 10


def start_command(scene: Scene, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=scene.installation.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@fault("F29", "kill -9 of an import of 10,000 rows, five times", embedded())
def import_killed(scene: Scene) -> None:
    """All or nothing is there, and the import can be run again."""
    folder = pictures() / "pictures"
    manifest = scene.installation.home / "rows.csv"
    rows = (f"{number},{number % 4},{number % 200:04d}.png" for number in range(N_ROWS))
    manifest.write_text("key,label,image\n" + "\n".join(rows) + "\n")
    source = (str(manifest), "--format", "manifest", "--root", str(folder))
    started = time.monotonic()
    scene.installation.run("import_dataset", "timed", *source)
    whole = time.monotonic() - started
    query = "SELECT COUNT(i.id) FROM audit_item i JOIN audit_dataset d ON d.id = i.dataset_id"
    for number in range(1, 6):
        process = start_command(scene, "import_dataset", "rows", *source)
        time.sleep(whole * number / 6)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (found,) = scene.installation.query(f"{query} WHERE d.slug = 'rows'")[0]
        assert found in {0, N_ROWS}, found
        if found:
            break
    scene.installation.run("import_dataset", "rows", *source, check=not found)
    assert scene.installation.query(f"{query} WHERE d.slug = 'rows'") == [(N_ROWS,)]
    scene.notes.append(f"undisturbed {whole:.0f} s")
    scene.result = "all rows once"


@fault("F30", "kill -9 of an export, twenty times", embedded(QUICK))
def export_killed(scene: Scene) -> None:
    """The folder isn't there, or is whole by its own hashes."""
    make_ready(scene)
    with site(scene.installation) as person:
        for _ in range(5):
            assert send(person, take_verdict(person))[0] == 200
    started = time.monotonic()
    whole_folder = scene.installation.home / "whole"
    scene.installation.run("export_labels", "1", "--out", str(whole_folder))
    seconds = time.monotonic() - started
    n_whole = 0
    for number in range(N_EXPORTS):
        # Most of a command's time is Python starting; the writing comes last.
        folder = scene.installation.home / f"export-{number}"
        process = start_command(scene, "export_labels", "1", "--out", str(folder))
        kill_later(process, folder, 0.6 * seconds + 0.5 * seconds * number / N_EXPORTS)
        if folder.exists() and any(folder.iterdir()):
            scene.installation.run("verify_export", str(folder))
            n_whole += 1
    scene.notes.append(f"{n_whole} of {N_EXPORTS} there and intact, the others absent")


def kill_later(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    """Kill a process after so many seconds, if it still runs."""
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    process.wait()
    killer.cancel()
    assert folder.parent.exists()
