"""Faults of Redis: killed, restarted, emptied, full, half dead, unreachable."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.campaign import fault
from tests.faults.installation import wait_until
from tests.faults.scene import (
    INJECTED,
    Scene,
    kill_redis,
    production,
    start_redis,
)
from tests.faults.site import site

LONG = ("stub:4-1-30", "stub:4-2-30")
APPEND_ONLY = {"appendonly": "yes", "appendfsync": "everysec"}


@fault("F07", "a chunk three times as long as the visibility timeout")
def long_chunk() -> Scene:
    injected = {"PYTHONPATH": INJECTED, "FAULT_VISIBILITY": "2"}
    with (
        production(LONG, LABEL_AUDIT_CHUNK_ITEMS="200") as scene,
        scene.installation.worker(**injected),
        scene.installation.worker(**injected),
    ):
        scene.clear()
        scene.start_audit()
        scene.await_end()
        scene.check()
        assert scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0] == 1
    return scene


@fault("F08", "every wake-up delivered five times")
def repeated() -> Scene:
    with production() as scene:
        scene.start_audit()
        scene.installation.run("shell", "-c", FIVE_TIMES)
        assert scene.broker.llen("experts") == 100
        with scene.installation.worker(), scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
            assert scene.installation.query("SELECT MAX(attempts) FROM audit_chunk")[0][0] == 1
    return scene


@fault("F09", "wake-ups in the wrong order, closing and calibration first")
def reordered() -> Scene:
    with production() as scene:
        scene.start_audit()
        scene.installation.run("shell", "-c", BACKWARDS)
        with scene.installation.worker():
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


FIVE_TIMES = """
from audit.models import Chunk
from audit.tasks import process_chunk
for pk in Chunk.objects.values_list("pk", flat=True):
    for _ in range(5):
        process_chunk.delay(pk)
"""
BACKWARDS = """
from audit.models import Audit, Chunk, ScoreSet
from audit.tasks import calibrate_audit, close_scores, process_chunk
calibrate_audit.delay(Audit.objects.get().pk)
for pk in ScoreSet.objects.values_list("pk", flat=True):
    close_scores.delay(pk)
for pk in Chunk.objects.order_by("-pk").values_list("pk", flat=True):
    process_chunk.delay(pk)
"""


def restarted(scene: Scene, pause: float, **config: str) -> None:
    with scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(3)
        port = kill_redis(scene)
        time.sleep(pause)
        start_redis(scene, port, **config)
        scene.clear()
        scene.await_end()
        scene.check()


@fault("F14", "Redis killed without persistence, messages lost")
def lost_messages() -> Scene:
    with production() as scene:
        restarted(scene, pause=3)
    return scene


@fault("F15", "Redis killed with an append-only file")
def append_only() -> Scene:
    with production(redis=APPEND_ONLY) as scene:
        restarted(scene, pause=3, **APPEND_ONLY)
    return scene


@fault("F16", "Redis restarted five times in ten seconds")
def flapping() -> Scene:
    with production(LONG) as scene, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(2)
        for _ in range(5):
            port = kill_redis(scene)
            time.sleep(1)
            start_redis(scene, port)
            time.sleep(1)
        scene.clear()
        scene.await_end()
        scene.check()
    return scene


@fault("F17", "Redis away when an audit is started in the browser")
def away_at_start() -> Scene:
    with production() as scene, site(scene.installation) as person:
        port = kill_redis(scene)
        with scene.installation.worker():
            (dataset,), *_ = scene.installation.query("SELECT id FROM audit_dataset")
            form = {
                "dataset": dataset, "other_experts": " ".join(scene.experts), "n_bins": 15,
                "bins_over": "disputed", "calibrator": "temperature", "seed": 0,
            }  # fmt: skip
            status, seconds, _ = person.submit("/audits/new/", form)
            assert status == 200, status
            assert seconds < 1, seconds
            scene.notes.append(f"the site answered in {1000 * seconds:.0f} ms")
            wait_until(lambda: "Error" in person.get("/audits/1/"), "the page says what is wrong")
            page = person.get("/audits/1/")
            assert "take no work" in page
            start_redis(scene, port)
            scene.clear()
            scene.await_end()
            scene.check()
    return scene


@fault("F18", "Redis half dead: CLIENT PAUSE for 20 seconds")
def paused() -> Scene:
    with production(LONG) as scene, site(scene.installation) as person, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(2)
        scene.broker.execute_command("CLIENT", "PAUSE", "20000", "ALL")
        until = time.monotonic() + 20
        times = []
        while time.monotonic() < until:
            status, seconds, _ = person.ask("/audits/1/progress/")
            assert status == 200, status
            times.append(seconds)
            time.sleep(0.1)
        slowest = sorted(times)[int(0.95 * len(times))]
        scene.notes.append(f"pages meanwhile: p95 {1000 * slowest:.0f} ms")
        assert slowest < 1
        scene.clear()
        scene.await_end()
        scene.check()
    return scene


@fault("F19", "FLUSHALL in the middle of a run")
def flushed() -> Scene:
    with production() as scene, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(3)
        scene.broker.flushall()
        scene.clear()
        scene.await_end()
        scene.check()
    return scene


@fault("F20", "Redis out of memory; then told to evict keys")
def out_of_memory() -> Scene:
    with production(LONG) as scene, scene.installation.worker():
        scene.start_audit()
        scene.await_chunks(2)
        scene.broker.config_set("maxmemory-policy", "noeviction")
        scene.broker.config_set("maxmemory", "1")
        query = "SELECT trouble FROM audit_worker"
        wait_until(lambda: scene.installation.query(query)[0][0] != "", "the worker says so")
        scene.notes.append(scene.installation.query(query)[0][0][:40])
        scene.broker.config_set("maxmemory", "0")
        scene.broker.config_set("maxmemory-policy", "allkeys-lru")
        said = scene.installation.run("doctor", check=False)
        assert said.returncode == 1
        assert "noeviction" in said.stdout, said.stdout
        scene.clear()
        scene.await_end()
        scene.check(quiet=False)
    return scene


@fault("F21", "half-open connection: Redis behind a network that drops all")
def half_open() -> Scene:
    with network() as (address, drop), production(LONG) as scene:
        port = kill_redis(scene)
        inside = ["ip", "netns", "exec", NAMESPACE]
        assert scene.redis is not None
        server = subprocess.Popen(
            [*inside, str(scene.redis._binary_path), "--port", str(port), "--bind", address,
             "--protected-mode", "no"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            scene.installation.environment["LABEL_AUDIT_REDIS"] = f"redis://{address}:{port}"
            with scene.installation.worker():
                scene.start_audit()
                scene.await_chunks(2)
                drop(True)
                time.sleep(20)
                drop(False)
                scene.clear()
                scene.await_end()
                scene.check()
        finally:
            server.kill()
            server.wait()
    return scene


NAMESPACE = "label-audit-fault"


@contextmanager
def network() -> Iterator[tuple[str, object]]:
    """Make a network namespace with an address of its own whose answers can be dropped."""

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", "la-host", "type", "veth", "peer", "name", "la-fault")
        ip("link", "set", "la-fault", "netns", NAMESPACE)
        ip("addr", "add", "10.213.7.1/24", "dev", "la-host")
        ip("link", "set", "la-host", "up")
        ip("-n", NAMESPACE, "addr", "add", "10.213.7.2/24", "dev", "la-fault")
        ip("-n", NAMESPACE, "link", "set", "la-fault", "up")

        def drop(is_dropping: bool) -> None:
            # Packets arrive, answers go nowhere, and nobody is told.
            action = "add" if is_dropping else "del"
            ip("-n", NAMESPACE, "route", action, "blackhole", "10.213.7.1/32")

        yield "10.213.7.2", drop
    finally:
        ip("netns", "del", NAMESPACE)
