"""Faults of workers: killed, stopped, frozen, of the wrong version, with the wrong clock."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil

from tests.faults.campaign import fault
from tests.faults.installation import family, kill_tree, wait_until
from tests.faults.scene import Scene, embedded, production

SLOW = ("stub:4-1-30", "stub:4-2-30")
VERY_SLOW = ("stub:4-1-60", "stub:4-2-60")


@fault("F01", "kill -9 of a pool process in the middle of a chunk")
def kill_child() -> Scene:
    with embedded() as scene, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(2)
        os.kill(int(scene.await_running().rpartition(":")[2]), signal.SIGKILL)
        scene.clear()
        scene.await_end()
        scene.check()
        attempts = scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0]
        assert attempts == 2, attempts
    return scene


@fault("F02", "kill -9 of the whole worker, started again")
def kill_worker() -> Scene:
    with embedded() as scene:
        scene.start_audit()
        with scene.installation.worker() as worker:
            scene.await_chunks(2)
            scene.await_running()
            kill_tree(worker.pid)
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F02b", "kill -9 of one of two workers, Redis + PostgreSQL")
def kill_one_of_two() -> Scene:
    with production() as scene, scene.installation.worker() as worker, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(3)
        scene.await_running()
        kill_tree(worker.pid)
        scene.clear()
        scene.await_end()
        scene.check()
    return scene


@fault("F03", "SIGTERM in the middle of a chunk of 6 s: it is finished first")
def drain() -> Scene:
    with embedded(SLOW, LABEL_AUDIT_CHUNK_ITEMS="200") as scene:
        scene.start_audit()
        with scene.installation.worker() as worker:
            scene.await_running()
            time.sleep(1)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=30) == 0
        assert scene.installation.chunks_done() == 1
        assert scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0] == 1
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F04", "SIGTERM three times, then SIGQUIT")
def impatient() -> Scene:
    with embedded(SLOW, LABEL_AUDIT_CHUNK_ITEMS="100") as scene:
        scene.start_audit()
        with scene.installation.worker() as worker:
            scene.await_running()
            for number in (*[signal.SIGTERM] * 3, signal.SIGQUIT):
                worker.send_signal(number)
                time.sleep(0.3)
            members = family(worker.pid)
            worker.wait(timeout=30)
            psutil.wait_procs(members, timeout=20)
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F05", "SIGQUIT of the Celery process with a chunk in hand")
def quit_celery() -> Scene:
    with embedded() as scene, scene.installation.worker() as worker:
        scene.start_audit()
        scene.await_chunks(2)
        scene.await_running()
        experts = next(p for p in family(worker.pid) if "experts" in p.cmdline())
        experts.send_signal(signal.SIGQUIT)
        scene.clear()
        scene.await_end()
        scene.check()
    return scene


@fault("F06", "SIGTERM, two seconds, SIGKILL: shorter than the chunk")
def short_grace() -> Scene:
    with embedded(SLOW, LABEL_AUDIT_CHUNK_ITEMS="200") as scene:
        scene.start_audit()
        with scene.installation.worker() as worker:
            scene.await_running()
            worker.send_signal(signal.SIGTERM)
            time.sleep(2)
            kill_tree(worker.pid)
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F33", "SIGSTOP until another worker has taken the chunk, then SIGCONT")
def frozen() -> Scene:
    with production(SLOW) as scene, scene.installation.worker() as worker:
        scene.start_audit()
        scene.await_chunks(2)
        owner = scene.await_running()
        members = family(worker.pid)
        for process in members:
            process.suspend()
        with scene.installation.worker():
            scene.clear()
            wait_until(
                lambda: owner not in scene.installation.running_owners(), "the chunk is taken over"
            )
            time.sleep(10)
            for process in members:
                process.resume()
            scene.await_end()
            scene.check()
            discarded = scene.installation.log.read_text().count("claim lost")
            scene.notes.append(f"stale commits refused: {discarded}")
    return scene


@fault("F36", "two workers, each with its reconciler, on one database")
def two_of_everything() -> Scene:
    with embedded() as scene, scene.installation.worker(), scene.installation.worker():
        scene.clear()
        scene.start_audit()
        scene.await_end()
        scene.check()
        attempts = scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0]
        assert attempts == 1, f"a chunk was scored {attempts} times"
    return scene


CANCEL = """
from audit.models import Audit
from audit.services.audits import {name}
assert {name}(Audit.objects.get())
"""


@fault("F40", "cancelled queued, running and offline; restarted; resumed")
def cancel() -> Scene:
    with embedded() as scene:
        scene.start_audit()
        shell(scene, "cancel_audit")
        with scene.installation.worker():
            time.sleep(6)
            assert scene.installation.chunks_done() == 0, "a cancelled audit was worked on"
            shell(scene, "resume_audit")
            scene.await_chunks(3)
            shell(scene, "cancel_audit")
            done = scene.installation.chunks_done()
            time.sleep(3)
            assert scene.installation.chunks_done() <= done + 1
        with scene.installation.worker():
            time.sleep(5)
            assert scene.installation.chunks_done() <= done + 1, "a restart undid the cancel"
            shell(scene, "resume_audit")
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


def shell(scene: Scene, name: str) -> None:
    scene.installation.run("shell", "-c", CANCEL.format(name=name))


def wrong_clock(offset: str) -> Scene:
    faketime = shutil.which("faketime")
    assert faketime, "needs Debian's faketime"
    with (
        production() as scene,
        scene.installation.worker(before=[faketime, "-f", offset]),
        scene.installation.worker(),
    ):
        scene.clear()
        scene.start_audit()
        scene.await_end()
        scene.check()
        attempts = scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0]
        assert attempts == 1, f"a chunk was scored {attempts} times"
        (low, high), *_ = scene.installation.query(
            "SELECT MIN(t), MAX(t) FROM (SELECT finished_at - claimed_at AS t FROM audit_chunk) c"
        )
        assert 0 <= low.total_seconds() <= high.total_seconds() < 60, (low, high)
    return scene


@fault("F41a", "one worker's clock is an hour fast")
def fast_clock() -> Scene:
    return wrong_clock("+1h")


@fault("F41b", "one worker's clock is an hour slow")
def slow_clock() -> Scene:
    return wrong_clock("-1h")


@fault("F42", "messages with unknown arguments, unknown tasks, rubbish")
def strange_messages() -> Scene:
    with production(VERY_SLOW) as scene, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(1)
        for _ in range(2):
            scene.installation.run("shell", "-c", STRANGE)
        scene.broker.lpush("experts", "this is no message")
        scene.clear()
        scene.await_end()
        scene.check(quiet=False)
    return scene


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


@fault("B160", "a worker of another version than the installation")
def other_version() -> Scene:
    with embedded() as scene, scene.installation.worker() as worker:
        scene.start_audit()
        scene.await_chunks(2)
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
        scene.await_end()
        scene.check()
    return scene


@fault("F45", "2,000 chunks: memory of the pool process")
def many_chunks() -> Scene:
    with embedded(("stub:4-1", "stub:4-2"), LABEL_AUDIT_CHUNK_ITEMS="1") as scene:
        scene.installation.import_pictures("many", n_items=1000)
        scene.installation.run("audit", "many", "--experts", "stub:4-1", "stub:4-2")
        with scene.installation.worker() as worker:
            scene.await_chunks(100)
            sizes = []
            while scene.installation.audit_state()[0] == "scoring":
                done = scene.installation.chunks_done()
                owners = scene.installation.running_owners()
                if owners and psutil.pid_exists(pid := int(owners[0].rpartition(":")[2])):
                    sizes.append((pid, done, psutil.Process(pid).memory_info().rss / 2**20))
                time.sleep(0.5)
            assert worker.poll() is None
        pid = sizes[0][0]
        first, last = ([each for each in sizes if each[0] == pid][place] for place in (0, -1))
        slope = 100 * (last[2] - first[2]) / max(last[1] - first[1], 1)
        scene.notes.append(
            f"{slope:+.2f} MB per 100 chunks over {last[1] - first[1]} chunks, {last[2]:.0f} MB"
        )
        assert slope < 1
    return scene
