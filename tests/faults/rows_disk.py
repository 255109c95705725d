"""Faults of the disk: full, and files that change behind the engine's back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.campaign import fault
from tests.faults.installation import family, wait_until
from tests.faults.scene import Scene, embedded


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put the folder on a disk of its own that is soon full."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)


def trouble_of_chunks(scene: Scene) -> list[str]:
    query = "SELECT error FROM audit_chunk WHERE error <> ''"
    return [str(error) for (error,) in scene.installation.query(query)]


@fault("F31a", "the disk of the scores full, then enlarged", embedded())
def scores_full(scene: Scene) -> None:
    """The chunks say what is wrong and rest; no item pays for it."""
    folder = scene.installation.home / "scores"
    with small_disk(folder, "40k"):
        scene.start_audit()
        with scene.worker():
            wait_until(
                lambda: any("No space left" in each for each in trouble_of_chunks(scene)),
                "the chunks say what is wrong",
            )
            time.sleep(5)
            enlarge(folder)
            scene.recovers()


@fault("F31b", "the disk of the messages full, then enlarged", embedded())
def messages_full(scene: Scene) -> None:
    """The worker says what is wrong."""
    folder = scene.installation.home / "broker"
    with small_disk(folder, "4k"):
        scene.start_audit()
        with scene.worker():
            query = "SELECT trouble FROM audit_worker"
            wait_until(
                lambda: any("No space" in row[0] for row in scene.installation.query(query)),
                "the worker says what is wrong",
            )
            enlarge(folder)
            scene.recovers()


@fault("F31c", "the disk of the evidence full, then enlarged", embedded())
def evidence_full(scene: Scene) -> None:
    """The audit says what is wrong and rests."""
    folder = scene.installation.home / "audits"
    with small_disk(folder, "4k"):
        scene.start_audit()
        with scene.worker():
            query = "SELECT error FROM audit_audit"
            wait_until(
                lambda: "No space" in scene.installation.query(query)[0][0],
                "the audit says what is wrong",
            )
            enlarge(folder)
            scene.recovers()


@fault("F31d", "no file may grow for ten seconds, SQLite's own included", embedded())
def database_full(scene: Scene) -> None:
    """Nothing that was written is damaged, and work goes on."""
    with scene.worker() as worker:
        scene.start_audit(chunks=3)
        limit(worker.pid, "0")
        time.sleep(10)
        limit(worker.pid, "unlimited")
        scene.recovers(quiet=False)


def limit(pid: int, size: str) -> None:
    for process in family(pid):
        subprocess.run(["prlimit", f"--fsize={size}:unlimited", f"--pid={process.pid}"], check=True)


@fault("F32a", "a finished shard cut short, another with one bit flipped", embedded())
def damaged_while_scoring(scene: Scene) -> None:
    """Both are noticed and scored again."""
    with scene.worker() as worker:
        scene.start_audit(chunks=5)
        worker.terminate()
        worker.wait(timeout=30)
    first, second, *_ = sorted((scene.installation.home / "scores").rglob("*.npy"))
    first.write_bytes(first.read_bytes()[:-9])
    flipped = bytearray(second.read_bytes())
    flipped[-5] ^= 4
    second.write_bytes(bytes(flipped))
    with scene.worker():
        scene.recovers()
    again = scene.installation.query("SELECT COUNT(*) FROM audit_chunk WHERE epoch > 1")[0][0]
    scene.notes.append(f"{again} chunks scored again")
    assert again >= 2


@fault("F32b", "a shard of finished scores gone before they are calibrated", embedded())
def damaged_when_finished(scene: Scene) -> None:
    """The scores go back to scoring, for that shard alone."""
    scene.installation.run("run_expert", "pictures", scene.experts[0], "--wait")
    next((scene.installation.home / "scores").rglob("*.npy")).unlink()
    scene.start_audit()
    with scene.worker():
        scene.recovers()
