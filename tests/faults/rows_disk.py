"""Faults of the disk: full, and files that change behind the engine's back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.campaign import fault
from tests.faults.installation import wait_until
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


@fault("F31a", "the disk of the scores full, then enlarged")
def scores_full() -> Scene:
    with embedded() as scene, small_disk(scene.installation.home / "scores", "40k"):
        scene.start_audit()
        with scene.installation.worker():
            wait_until(
                lambda: any("No space left" in each for each in trouble_of_chunks(scene)),
                "the chunks say what is wrong",
            )
            time.sleep(5)
            enlarge(scene.installation.home / "scores")
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F31b", "the disk of the messages full, then enlarged")
def messages_full() -> Scene:
    with embedded() as scene:
        folder = scene.installation.home / "broker"
        with small_disk(folder, "4k"):
            scene.start_audit()
            with scene.installation.worker():
                query = "SELECT trouble FROM audit_worker"
                wait_until(
                    lambda: any("No space" in row[0] for row in scene.installation.query(query)),
                    "the worker says what is wrong",
                )
                enlarge(folder)
                scene.clear()
                scene.await_end()
                scene.check()
    return scene


@fault("F31c", "the disk of the evidence full, then enlarged")
def evidence_full() -> Scene:
    with embedded() as scene:
        folder = scene.installation.home / "audits"
        with small_disk(folder, "4k"):
            scene.start_audit()
            with scene.installation.worker():
                query = "SELECT error FROM audit_audit"
                wait_until(
                    lambda: "No space" in scene.installation.query(query)[0][0],
                    "the audit says what is wrong",
                )
                enlarge(folder)
                scene.clear()
                scene.await_end()
                scene.check()
    return scene


@fault("F31d", "no file may grow: the database's log can't either")
def database_full() -> Scene:
    """SQLite's files may not grow for ten seconds, as on a full disk."""
    with embedded() as scene, scene.installation.worker() as worker:
        scene.start_audit()
        scene.await_chunks(3)
        limit(worker.pid, "0")
        time.sleep(10)
        limit(worker.pid, "unlimited")
        scene.clear()
        scene.await_end()
        scene.check(quiet=False)
    return scene


def limit(pid: int, size: str) -> None:
    from tests.faults.installation import family

    for process in family(pid):
        subprocess.run(["prlimit", f"--fsize={size}:unlimited", f"--pid={process.pid}"], check=True)


@fault("F32a", "a finished shard cut short, another with one bit flipped")
def damaged_while_scoring() -> Scene:
    with embedded() as scene:
        scene.start_audit()
        with scene.installation.worker() as worker:
            scene.await_chunks(5)
            worker.terminate()
            worker.wait(timeout=30)
        first, second, *_ = sorted((scene.installation.home / "scores").rglob("*.npy"))
        first.write_bytes(first.read_bytes()[:-9])
        flipped = bytearray(second.read_bytes())
        flipped[-5] ^= 4
        second.write_bytes(bytes(flipped))
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
            again = scene.installation.query("SELECT COUNT(*) FROM audit_chunk WHERE epoch > 1")
            scene.notes.append(f"{again[0][0]} chunks scored again")
            assert again[0][0] >= 2
    return scene


@fault("F32b", "a shard of finished scores gone before they are calibrated")
def damaged_when_finished() -> Scene:
    with embedded() as scene:
        scene.installation.run("run_expert", "pictures", scene.experts[0], "--wait")
        next((scene.installation.home / "scores").rglob("*.npy")).unlink()
        scene.start_audit()
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene
