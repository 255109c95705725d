"""Faults of Redis: killed, restarted, emptied, full, half dead, unreachable."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.campaign import fault
from tests.faults.installation import wait_until
from tests.faults.scene import INJECTED, SLOW, Scene, kill_redis, production, start_redis
from tests.faults.site import site

APPEND_ONLY = {"appendonly": "yes", "appendfsync": "everysec"}


@fault(
    "F07",
    "a chunk that takes three times Redis's visibility timeout",
    production(SLOW, LABEL_AUDIT_CHUNK_ITEMS="200"),
)
def long_chunk(scene: Scene) -> None:
    """Whom the message reaches as well finds the chunk claimed."""
    injected = {"PYTHONPATH": INJECTED, "FAULT_VISIBILITY": "2"}
    with scene.worker(**injected), scene.worker(**injected):
        scene.start_audit()
        scene.recovers(attempts=1)


@fault("F08", "every wake-up delivered five times", production())
def repeated(scene: Scene) -> None:
    """No chunk is scored twice."""
    scene.start_audit()
    scene.installation.run("shell", "-c", FIVE_TIMES)
    assert scene.broker.llen("experts") == 100
    with scene.worker(), scene.worker():
        scene.recovers(attempts=1)


@fault("F09", "wake-ups in the wrong order, closing and calibration first", production())
def reordered(scene: Scene) -> None:
    """What comes too early finds nothing to do."""
    scene.start_audit()
    scene.installation.run("shell", "-c", BACKWARDS)
    with scene.worker():
        scene.recovers(attempts=1)


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


def restart(scene: Scene, pause: float, **config: str) -> None:
    port = kill_redis(scene)
    time.sleep(pause)
    start_redis(scene, port, **config)


@fault("F14", "Redis killed for three seconds, without persistence: messages lost", production())
def lost_messages(scene: Scene) -> None:
    """Wake-ups are sent anew."""
    with scene.worker():
        scene.start_audit(chunks=3)
        restart(scene, pause=3)
        scene.recovers()


@fault(
    "F15", "Redis killed for three seconds, with an append-only file", production(redis=APPEND_ONLY)
)
def append_only(scene: Scene) -> None:
    """What comes twice by that is done once."""
    with scene.worker():
        scene.start_audit(chunks=3)
        restart(scene, pause=3, **APPEND_ONLY)
        scene.recovers()


@fault("F16", "Redis restarted five times in ten seconds", production(SLOW))
def flapping(scene: Scene) -> None:
    """Workers take messages again within 30 s."""
    with scene.worker():
        scene.start_audit(chunks=2)
        for _ in range(5):
            restart(scene, pause=1)
            time.sleep(1)
        scene.recovers()
    assert scene.recovered_after < 30


@fault("F17", "Redis away when an audit is started in the browser", production())
def away_at_start(scene: Scene) -> None:
    """The page answers within 1 s and says what is wrong; work starts once Redis is back."""
    with site(scene.installation) as person:
        port = kill_redis(scene)
        with scene.worker():
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
            assert "take no work" in person.get("/audits/1/")
            start_redis(scene, port)
            scene.recovers()


@fault("F18", "Redis half dead: CLIENT PAUSE for 20 seconds", production(SLOW))
def paused(scene: Scene) -> None:
    """Pages answer within 1 s meanwhile."""
    with site(scene.installation) as person, scene.worker():
        scene.start_audit(chunks=2)
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
        scene.recovers()


@fault("F19", "FLUSHALL in the middle of a run", production())
def flushed(scene: Scene) -> None:
    """Wake-ups are sent anew."""
    with scene.worker():
        scene.start_audit(chunks=3)
        scene.broker.flushall()
        scene.recovers()


@fault("F20", "Redis out of memory, then told to evict keys", production(SLOW))
def out_of_memory(scene: Scene) -> None:
    """The worker says so on the pages, `doctor` warns of the policy."""
    with scene.worker():
        scene.start_audit(chunks=2)
        scene.broker.config_set("maxmemory-policy", "noeviction")
        scene.broker.config_set("maxmemory", "1")
        query = "SELECT trouble FROM audit_worker"
        wait_until(lambda: scene.installation.query(query)[0][0] != "", "the worker says so")
        scene.notes.append(f"“{scene.installation.query(query)[0][0][:40]}…”")
        scene.broker.config_set("maxmemory", "0")
        scene.broker.config_set("maxmemory-policy", "allkeys-lru")
        said = scene.installation.run("doctor", check=False)
        assert said.returncode == 1
        assert "noeviction" in said.stdout, said.stdout
        scene.recovers(quiet=False)


@fault("F21", "half-open connections: the network drops Redis's answers for 20 s", production(SLOW))
def half_open(scene: Scene) -> None:
    """Workers notice, and take messages again within 90 s."""
    with network() as (address, drop):
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
            with scene.worker():
                scene.start_audit(chunks=2)
                drop(True)
                time.sleep(20)
                drop(False)
                scene.recovers()
        finally:
            server.kill()
            server.wait()
    assert scene.recovered_after < 90


NAMESPACE = "label-audit-fault"


@contextmanager
def network() -> Iterator[tuple[str, Callable[[bool], None]]]:
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
