"""Faults of workers: killed, stopped, frozen, of the wrong version, with the wrong clock."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil

from tests.faults.campaign import fault
from tests.faults.installation import Installation, family, kill_tree, wait_until
from tests.faults.scene import SLOW, VERY_SLOW, Scene, embedded, production

ONE_CHUNK = {"LABEL_AUDIT_CHUNK_ITEMS": "200"}


@fault("F01", "kill -9 of a pool process in the middle of a chunk", embedded())
def kill_child(scene: Scene) -> None:
    """The chunk is tried a second time."""
    with scene.worker():
        scene.start_audit(chunks=2)
        os.kill(scene.await_pool_process(), signal.SIGKILL)
        scene.recovers(attempts=2)


@fault("F02", "kill -9 of the whole worker, started again", embedded())
def kill_worker(scene: Scene) -> None:
    """The worker that comes after takes the chunk over."""
    with scene.worker() as worker:
        scene.start_audit(chunks=2)
        scene.await_running()
        kill_tree(worker.pid)
    with scene.worker():
        scene.recovers()


@fault("F02b", "kill -9 of one of two workers, Redis + PostgreSQL", production())
def kill_one_of_two(scene: Scene) -> None:
    """The other takes the chunk over."""
    with scene.worker() as worker, scene.worker():
        scene.start_audit(chunks=3)
        scene.await_running()
        kill_tree(worker.pid)
        scene.recovers()


@fault("F03", "SIGTERM in the middle of a chunk of 6 s", embedded(SLOW, **ONE_CHUNK))
def drain(scene: Scene) -> None:
    """The chunk is finished first, nothing is done twice."""
    with scene.worker() as worker:
        scene.start_audit()
        scene.await_running()
        time.sleep(1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
    assert scene.installation.chunks_done() == 1
    with scene.worker():
        scene.recovers(attempts=1)


@fault("F04", "SIGTERM three times, then SIGQUIT", embedded(SLOW, LABEL_AUDIT_CHUNK_ITEMS="100"))
def impatient(scene: Scene) -> None:
    """The worker that comes after takes up what was left."""
    with scene.worker() as worker:
        scene.start_audit()
        scene.await_running()
        members = family(worker.pid)
        for number in (*[signal.SIGTERM] * 3, signal.SIGQUIT):
            worker.send_signal(number)
            time.sleep(0.3)
        worker.wait(timeout=30)
        psutil.wait_procs(members, timeout=20)
    with scene.worker():
        scene.recovers()


@fault("F05", "SIGQUIT of the Celery process with a chunk in hand", embedded())
def quit_celery(scene: Scene) -> None:
    """Its parent starts another one."""
    with scene.worker() as worker:
        scene.start_audit(chunks=2)
        scene.await_running()
        next(p for p in family(worker.pid) if "experts" in p.cmdline()).send_signal(signal.SIGQUIT)
        scene.recovers()


@fault("F06", "SIGTERM, two seconds, SIGKILL: shorter than the chunk", embedded(SLOW, **ONE_CHUNK))
def short_grace(scene: Scene) -> None:
    """The worker that comes after takes the chunk over."""
    with scene.worker() as worker:
        scene.start_audit()
        scene.await_running()
        worker.send_signal(signal.SIGTERM)
        time.sleep(2)
        kill_tree(worker.pid)
    with scene.worker():
        scene.recovers()


@fault("F33", "SIGSTOP until another worker has taken the chunk, then SIGCONT", production(SLOW))
def frozen(scene: Scene) -> None:
    """What the frozen worker commits is refused, as its claim is lost."""
    with scene.worker() as worker:
        scene.start_audit(chunks=2)
        owner = scene.await_running()
        members = family(worker.pid)
        for process in members:
            process.suspend()
        with scene.worker():
            scene.clear()
            wait_until(
                lambda: owner not in scene.installation.running_owners(), "the chunk is taken over"
            )
            time.sleep(10)
            for process in members:
                process.resume()
            scene.recovers()
            discarded = scene.installation.log.read_text().count("claim lost")
            scene.notes.append(f"stale commits refused: {discarded}")


@fault("F36", "two workers, each with its reconciler, on one database", embedded())
def two_of_everything(scene: Scene) -> None:
    """No chunk is tried twice."""
    with scene.worker(), scene.worker():
        scene.start_audit()
        scene.recovers(attempts=1)


@fault("F40", "cancelled queued, running and offline; worker restarted; resumed", embedded())
def cancel(scene: Scene) -> None:
    """It stops after the chunk in hand and stays cancelled until it is resumed."""
    scene.start_audit()
    scene.change_audit("cancel_audit")
    with scene.worker():
        time.sleep(6)
        assert scene.installation.chunks_done() == 0, "a cancelled audit was worked on"
        scene.change_audit("resume_audit")
        scene.await_chunks(3)
        scene.change_audit("cancel_audit")
        done = scene.installation.chunks_done()
        time.sleep(3)
        assert scene.installation.chunks_done() <= done + 1
    with scene.worker():
        time.sleep(5)
        assert scene.installation.chunks_done() <= done + 1, "a restart undid the cancel"
        scene.change_audit("resume_audit")
        scene.recovers()


def wrong_clock(scene: Scene, offset: str) -> None:
    faketime = shutil.which("faketime")
    assert faketime, "needs Debian's faketime"
    with scene.worker(before=[faketime, "-f", offset]), scene.worker():
        scene.start_audit()
        scene.recovers(attempts=1)
    (low, high), *_ = scene.installation.query(
        "SELECT MIN(t), MAX(t) FROM (SELECT finished_at - claimed_at AS t FROM audit_chunk) c"
    )
    assert 0 <= low.total_seconds() <= high.total_seconds() < 60, (low, high)


@fault("F41a", "one of two workers has a clock that is an hour fast", production())
def fast_clock(scene: Scene) -> None:
    """No claim runs out early, no chunk takes an hour."""
    wrong_clock(scene, "+1h")


@fault("F41b", "one of two workers has a clock that is an hour slow", production())
def slow_clock(scene: Scene) -> None:
    """No claim runs out early, no chunk takes less than no time."""
    wrong_clock(scene, "-1h")


@fault("F42", "messages with unknown arguments, unknown tasks, rubbish", production(VERY_SLOW))
def strange_messages(scene: Scene) -> None:
    """What can be understood is done, the rest is dropped."""
    with scene.worker():
        scene.start_audit(chunks=1)
        for _ in range(2):
            scene.installation.run("shell", "-c", STRANGE)
        scene.broker.lpush("experts", "this is no message")
        scene.recovers(quiet=False)


STRANGE = """
from audit.config.celery import app
from audit.models import Chunk
from audit.tasks import process_chunk
pending = Chunk.objects.filter(work="pending").values_list("pk", flat=True).first() or 1
process_chunk.apply_async((pending,), {"schema_version": 9, "shiny": True})
process_chunk.apply_async((10**12,))
app.send_task("audit.tasks.of_a_later_version", (1, 2), {"a": 1}, queue="experts")
app.send_task("audit.tasks.process_chunk", ("not a number",), queue="experts")
"""


@fault("B160", "the installation becomes another version than its worker, then again", embedded())
def other_version(scene: Scene) -> None:
    """The worker stops its processes, says so, and starts them again."""
    with scene.worker() as worker:
        scene.start_audit(chunks=2)
        n_processes = len(family(worker.pid))
        scene.installation.change("UPDATE audit_installation SET version = '0.0.9'")
        wait_until(lambda: len(family(worker.pid)) == 1, "the worker's processes stop")
        done = scene.installation.chunks_done()
        trouble = scene.installation.query("SELECT trouble FROM audit_worker")[0][0]
        assert trouble.startswith("version_mismatch"), trouble
        time.sleep(3)
        assert scene.installation.chunks_done() == done
        scene.installation.change("UPDATE audit_installation SET version = '0.1.0'")
        scene.clear()
        wait_until(lambda: len(family(worker.pid)) == n_processes, "they are started again")
        scene.recovers()


@fault("F45", "2,000 chunks", embedded(("stub:4-1", "stub:4-2"), LABEL_AUDIT_CHUNK_ITEMS="1"))
def many_chunks(scene: Scene) -> None:
    """The pool process grows by less than 1 MB in 100 chunks, or is replaced."""
    scene.installation.import_pictures("many", n_items=1000)
    with scene.worker() as worker:
        scene.installation.run("audit", "many", "--experts", *scene.experts)
        scene.clear()
        sizes = []
        while scene.installation.chunks_done() < 2000:
            owners = scene.installation.running_owners()
            if owners and psutil.pid_exists(pid := int(owners[0].rpartition(":")[2])):
                memory = psutil.Process(pid).memory_info().rss / 2**20
                sizes.append((pid, scene.installation.chunks_done(), memory))
            time.sleep(0.5)
        scene.await_end()
        assert worker.poll() is None
    slopes = [growth(sizes, pid) for pid in dict.fromkeys(pid for pid, _, _ in sizes)]
    longest = max(slopes, key=lambda each: each[1])
    scene.notes.append(
        f"{longest[0]:+.2f} MB per 100 chunks over {longest[1]} chunks of one process, "
        f"{max(memory for _, _, memory in sizes):.0f} MB at most; {len(slopes)} processes"
    )
    assert longest[0] < 1
    assert scene.most_attempts == 1
    audit = scene.installation.json("audit", "many", "--experts", *scene.experts, "--wait")
    assert audit["sha256"] == undisturbed_many(scene)
    scene.result = "same hash"


def growth(sizes: list[tuple[int, int, float]], pid: int) -> tuple[float, int]:
    """Return a process's MB per 100 chunks, and over how many chunks that was seen.

    The first hundred load libraries, which is no growth.
    """
    own = [each for each in sizes if each[0] == pid]
    settled = [each for each in own if each[1] >= own[0][1] + 100] or own
    n_chunks = settled[-1][1] - settled[0][1]
    return 100 * (settled[-1][2] - settled[0][2]) / max(n_chunks, 1), n_chunks


def undisturbed_many(scene: Scene) -> str:
    """Return the hash of the same audit with chunks of the usual size, by no worker."""
    usual = Installation(scene.installation.home.with_name("usual"))
    usual.import_pictures("many", n_items=1000)
    return str(usual.json("audit", "many", "--experts", *scene.experts, "--wait")["sha256"])
