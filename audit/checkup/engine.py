"""The engine: the broker, the workers, and the work that waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from audit.checkup.findings import Finding, fine, problem, warn
from audit.evidence import load_evidence
from audit.models import Audit, Chunk, ScoreSet, Worker
from audit.score_store import ScoreStoreError
from audit.services.closing import find_damage

LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}
PATIENCE_SECONDS = 3
LONG_WAIT = timedelta(minutes=10)


def check_broker() -> Iterator[Finding]:
    """Look at where wake-ups go: a folder, or Redis and what would make it lose them."""
    if not settings.REDIS_URL:
        yield fine("messages", f"files in {settings.BROKER_FOLDER}")
        return
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
    )
    try:
        facts: dict[str, Any] = client.info()
        policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy"))
    except redis.RedisError as error:
        wrong_password = "auth" in str(error).lower()
        advice = "correct the password in" if wrong_password else "start it, or correct"
        yield problem("Redis", str(error), f"{advice} LABEL_AUDIT_REDIS")
        return
    finally:
        client.close()
    yield fine("Redis", f"version {facts.get('redis_version')}")
    yield from _check_redis(facts, policy)


def _check_redis(facts: dict[str, Any], policy: str) -> Iterator[Finding]:
    if policy != "noeviction":
        yield problem(
            "Redis memory",
            f"maxmemory-policy is {policy}: wake-ups may be thrown away",
            "set maxmemory-policy noeviction",
        )
    if facts.get("maxmemory") and facts["used_memory"] > 0.9 * facts["maxmemory"]:
        yield warn("Redis memory", "nine tenths are used", "raise maxmemory")
    if facts.get("role") == "slave":
        yield problem("Redis", "it is a replica: nothing can be written", "name the primary")
    if not facts.get("aof_enabled"):
        yield warn(
            "Redis persistence",
            "appendonly is off: after a restart wake-ups are sent anew, half a minute late",
            "set appendonly yes",
        )
    address = urlsplit(settings.REDIS_URL)
    if (address.hostname or "") not in LOOPBACK and not address.password:
        yield problem(
            "Redis password",
            "none, on another host",
            "set requirepass there and the password in LABEL_AUDIT_REDIS",
        )


def check_workers() -> Iterator[Finding]:
    """Look at who works, who stopped working, and what waits for whom."""
    try:
        alive = list(Worker.objects.alive().order_by("name"))
        silent = list(Worker.objects.exclude(pk__in=[worker.pk for worker in alive]))
        pending = Chunk.objects.pending()
        waiting, since = pending.count(), pending.aggregate(Min("score_set__created_at"))
    except DatabaseError:
        return  # said before
    for worker in alive:
        facts = f"{worker.version}, {worker.devices or 'no device'}, {worker.slots} at a time"
        if worker.trouble:
            yield problem(f"worker {worker.name}", worker.trouble, "put right what it says")
        else:
            yield fine(f"worker {worker.name}", facts)
    for worker in silent:
        yield warn(
            f"worker {worker.name}",
            f"silent since {worker.seen_at:%d %b %H:%M} UTC",
            "it was killed or its host is away; start it again if it is needed",
        )
    if not alive:
        level = problem if waiting else warn
        yield level("workers", "none is listening", "start one: `make worker`")
    if waiting:
        yield fine(
            "work",
            f"{waiting:,} chunks wait, of scores asked for since "
            f"{since['score_set__created_at__min']:%d %b %H:%M} UTC",
        )
    yield from _check_stuck()


def _check_stuck() -> Iterator[Finding]:
    stuck = Chunk.objects.exclude(error="").filter(score_set__state=ScoreSet.State.SCORING)
    for error in stuck.order_by("error").values_list("error", flat=True).distinct()[:5]:
        yield warn("chunks", f"tried again after: {error}", "see the audit's page")
    late = Chunk.objects.filter(work=Chunk.Work.RUNNING, heartbeat_at__lt=Now() - LONG_WAIT)
    if count := late.count():
        yield problem(
            "chunks",
            f"{count} are held by workers silent for ten minutes",
            "no worker reconciles: start one",
        )


def check_probes() -> Iterator[Finding]:
    """Look at what other apps know of that `/readyz` asks as well, such as leases."""
    for path in settings.LABEL_AUDIT_PROBES:
        if path.startswith("audit."):
            continue  # said above, in more words
        try:
            yield from import_string(path)()
        except DatabaseError:
            return  # said before


def check_evidence() -> Iterator[Finding]:
    """Look whether every finished audit still has what says which items belong to it."""
    try:
        ready = list(
            Audit.objects.filter(state=Audit.State.READY).select_related("dataset").order_by("pk")
        )
    except DatabaseError:
        return  # said before
    for audit in ready:
        try:
            shape = load_evidence(audit.pk).top1.shape
            reason = "" if shape[1:] == (audit.dataset.n_items,) else f"it has the shape {shape}"
        except (OSError, ValueError) as error:
            reason = str(error)
        if reason:
            yield problem(
                f"evidence of {audit}", reason, "bring the folder `audits` back from a backup"
            )


def check_scores() -> Iterator[Finding]:
    """Read every finished score set and compare it with what was written."""
    for score_set in ScoreSet.objects.filter(state=ScoreSet.State.READY).order_by("pk"):
        try:
            damage = find_damage(score_set)
        except (OSError, ScoreStoreError) as error:
            yield problem(f"scores of {score_set}", str(error), "see to the score store")
            continue
        if damage:
            advice = f"`manage.py run_expert {score_set.dataset.slug} {score_set.expert} --check`"
            if score_set.source != ScoreSet.Source.RUN:
                advice = "import them again after an audit of them has failed"
            yield problem(f"scores of {score_set}", damage, advice)
        else:
            yield fine(f"scores of {score_set}", f"{score_set.sha256[:16]} as written")
