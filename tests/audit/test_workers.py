"""Workers say who they are, take work of their own version only, and never fork with torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from audit import devices, tasks
from audit.management.commands.worker import Engine, expert_children
from audit.models import Chunk, Claimable, Installation, ScoreSet, Worker
from audit.services import attempts, claims, workers
from audit.services.scores import ScoresRefusedError, forget_scores, request_scores
from tests.factories import make_dataset, make_ready_audit

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db


def test_b160_migrating_says_whose_database_it_is(settings):
    Installation.objects.update(version="0.0.1")
    assert workers.version_refusal().startswith("version_mismatch")
    call_command("migrate", verbosity=0)
    assert Installation.objects.get().version == settings.LABEL_AUDIT_VERSION
    assert workers.version_refusal() == ""


def test_b160_a_worker_of_another_version_hands_wake_ups_back(settings):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    chunk = score_set.chunks.get()
    Chunk.objects.update(announced_at=Now())
    settings.LABEL_AUDIT_VERSION = "99.0.0"
    tasks.process_chunk(chunk.pk)
    chunk.refresh_from_db()
    assert (chunk.work, chunk.epoch, chunk.announced_at) == (Claimable.Work.PENDING, 0, None)


def test_f42_messages_may_say_more_than_this_version_knows():
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    tasks.process_chunk(score_set.chunks.get().pk, schema_version=7, urgency="high")
    tasks.close_scores(score_set.pk, schema_version=7)
    tasks.calibrate_audit(10**9, schema_version=7)
    score_set.refresh_from_db()
    assert score_set.is_ready


def test_a_sign_of_life_says_devices_and_trouble_without_secrets():
    for trouble in ("", "redis://:hunter2@cache:6379/0 is away", ""):
        workers.sign_in("host:1", devices="2 GPU", slots=2, trouble=trouble)
        assert workers.count_slots() == (0 if trouble else 2)
        assert "hunter2" not in Worker.objects.get().trouble
    workers.sign_out("host:1")
    assert not Worker.objects.exists()


def test_more_devices_have_more_wake_ups_on_their_way(settings, monkeypatch):
    settings.CHUNK_ITEMS = 1
    sent = []
    monkeypatch.setattr(tasks.process_chunk, "apply_async", lambda args, **_: sent.append(args))
    request_scores(make_dataset(n_items=40), "stub:3")
    workers.sign_in("host:1", slots=8)
    assert tasks.announce_work() == 32


def test_a_part_of_a_chunk_is_given_part_of_the_time(settings, monkeypatch):
    settings.CHUNK_ITEMS, settings.CHUNK_SECONDS = 8, 100
    limits = []
    monkeypatch.setattr(
        tasks.process_chunk, "apply_async", lambda _args, time_limit: limits.append(time_limit)
    )
    score_set = request_scores(make_dataset(n_items=12), "stub:3")
    Chunk.objects.create(score_set=score_set, start=100, stop=101)
    tasks.announce_work()
    assert limits == [100, 50, 25]


def test_f18_a_worker_that_takes_nothing_while_wake_ups_wait_is_noticed(settings):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    pending, pid = [Chunk.objects.pending()], os.getpid()
    assert not workers.is_deaf(pending, [pid])
    long_ago = Now() - timedelta(seconds=settings.CLAIM_SECONDS + 1)
    Chunk.objects.update(announced_at=long_ago)
    assert workers.is_deaf(pending, [pid])
    other = Chunk.objects.create(score_set=score_set, start=100, stop=101)
    claims.claim(other)
    assert not workers.is_deaf(pending, [pid])
    assert workers.is_deaf(pending, [pid + 1])
    Chunk.objects.filter(pk=other.pk).update(work="done", claimed_at=long_ago)
    assert workers.is_deaf(pending, [pid])
    ScoreSet.objects.update(state="cancelled")
    assert not workers.is_deaf(pending, [pid])


@pytest.fixture
def fake_tool(tmp_path, monkeypatch):
    """Put an nvidia-smi on the path that prints what it is told."""
    monkeypatch.delenv(devices.VISIBLE, raising=False)

    def install(script: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return install


def test_every_gpu_gets_a_worker_that_sees_no_other(fake_tool):
    fake_tool("echo GPU-aaaa; echo GPU-bbbb")
    assert devices.choose_devices("auto") == ["GPU-aaaa", "GPU-bbbb"]
    children = expert_children(devices.choose_devices("auto"), 1)
    assert [child.environment[devices.VISIBLE] for child in children] == ["GPU-aaaa", "GPU-bbbb"]
    assert len({child.name for child in children}) == 2


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found >&2; exit 6", ":"])
def test_a_tool_that_fails_means_no_gpu(fake_tool, script):
    fake_tool(script)
    assert devices.choose_devices("auto") == []


@pytest.mark.parametrize(
    ("visible", "expected"), [("", []), ("-1", []), ("0,2", ["0", "2"]), ("GPU-a", ["GPU-a"])]
)
def test_devices_hidden_from_this_process_stay_hidden(monkeypatch, visible, expected):
    monkeypatch.setenv(devices.VISIBLE, visible)
    assert devices.choose_devices("auto") == expected
    assert devices.choose_devices("cpu") == []
    assert devices.choose_devices("1, 3") == ["1", "3"]


def test_several_processes_on_the_cpu_share_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS" not in expert_children([], 1)[0].environment
    assert expert_children([], os.cpu_count())[0].environment["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("loaded", "code"), [("torch", os.EX_SOFTWARE), ("json", 0)])
def test_f43_a_worker_that_has_loaded_torch_does_not_fork(loaded, code):
    # A stand-in by that name: importing the real one takes seconds.
    program = (
        "import sys, types; from audit.config import celery\n"
        f"sys.modules['{loaded}'] = types.ModuleType('{loaded}')\n"
        "celery.worker_before_create_process.send(sender=None)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == code


def test_attempts_of_a_chunk_that_was_taken_over_change_nothing():
    request_scores(make_dataset(n_items=4), "stub:3")
    chunk = Chunk.objects.get()
    claims.claim(chunk, "slow:1")
    chunk.refresh_from_db()
    Chunk.objects.update(epoch=5)
    attempts.give_up_attempt(chunk, "late", killed=True)
    chunk.refresh_from_db()
    assert (chunk.work, chunk.error) == (Claimable.Work.RUNNING, "")


def test_b160_a_machine_with_other_weights_of_that_name_scores_nothing():
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    ScoreSet.objects.update(card={"fingerprint": "of other weights"})
    chunk = score_set.chunks.get()
    tasks.process_chunk(chunk.pk)
    chunk.refresh_from_db()
    assert (chunk.work, chunk.attempts) == (Claimable.Work.PENDING, 0)
    assert chunk.error.startswith("version_mismatch")
    assert not Chunk.objects.pending().exists()


def test_weights_that_changed_on_purpose_score_everything_anew():
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    tasks.process_chunk(score_set.chunks.get().pk)
    ScoreSet.objects.update(card={"fingerprint": "of the weights before"})
    running = score_set.chunks.get()
    forget_scores(score_set)
    assert not claims.commit(running, running.epoch, shard="of the weights before")
    tasks.process_chunk(running.pk)
    score_set.refresh_from_db()
    assert score_set.is_ready
    assert score_set.card["fingerprint"] != "of the weights before"


def test_scores_that_a_ready_audit_rests_on_are_not_forgotten():
    audit = make_ready_audit()
    with pytest.raises(ScoresRefusedError, match="rests on these scores"):
        forget_scores(audit.score_sets.first())


class Started:
    """A Celery worker that started so long ago."""

    name = "experts-1"
    restarts = 0

    def __init__(self, seconds: float) -> None:
        self.started_at = time.monotonic() - seconds

    def family(self) -> list[int]:
        return [os.getpid()]

    def restart_soon(self) -> None:
        self.restarts += 1


def test_f18_a_deaf_worker_that_takes_long_to_start_is_given_more_time_each_time(settings):
    settings.CLAIM_SECONDS = 4
    request_scores(make_dataset(n_items=4), "stub:3")
    Chunk.objects.update(announced_at=Now() - timedelta(seconds=5))
    child = Started(16)
    engine = Engine([child], "CPU", 1)
    engine._wake_the_deaf()
    assert child.restarts == 1
    for seconds, expected in ((29, 1), (31, 2), (59, 2), (61, 3)):
        child.started_at = time.monotonic() - seconds
        engine._wake_the_deaf()
        assert child.restarts == expected, seconds
    child.started_at = time.monotonic() - 121
    Chunk.objects.update(announced_at=None)  # it takes work again
    engine._wake_the_deaf()
    Chunk.objects.update(announced_at=Now() - timedelta(seconds=5))
    child.started_at = time.monotonic() - 16
    engine._wake_the_deaf()
    assert child.restarts == 4
