"""Whether this site can do its work right now: what a balancer and a monitor ask again and again.

Unlike `doctor`, every look is cheap, and nothing is imported that web processes do without.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Min
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from audit.checkup.findings import Finding, Level, fine, problem, warn
from audit.checkup.installation import LITTLE_SPACE, NO_SPACE
from audit.models import Audit, Chunk, Claimable, ScoreSet, Worker
from audit.redis_info import ask_redis
from audit.services.workers import version_refusal

REDIS_SECONDS = 1.0
# However often anybody asks, each web process looks once in so many seconds.
FRESH_SECONDS = 2.0
# Somebody reconciles every few seconds: a claim or lease that ran out longer ago was forgotten.
FORGOTTEN = timedelta(seconds=60)


def look() -> list[Finding]:
    """Return what there is to say of database, migrations, version, space, messages, work, leases.

    A problem means that pages can't be served; a warning, that something else waits.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
        findings = [fine("database", connection.vendor), _look_at_migrations(applied)]
        if findings[-1].level == Level.OK:
            findings.append(_look_at_version())
            findings += [each for probe in _probes() for each in probe()]
    except DatabaseError as error:
        findings = [problem("database", str(error), "start it, or correct LABEL_AUDIT_DATABASE")]
    return [*findings, _look_at_space(), _look_at_messages()]


def _probes() -> list[Callable[[], Iterator[Finding]]]:
    return [import_string(path) for path in settings.LABEL_AUDIT_PROBES]


@lru_cache(maxsize=1)
def _migrations_here() -> frozenset[tuple[str, str]]:
    """Return app and name of every migration in the code, by their files: none is imported."""
    return frozenset(
        (app.label, path.stem)
        for app in apps.get_app_configs()
        for path in Path(app.path, "migrations").glob("[0-9]*.py")
    )


def _look_at_migrations(applied: set[tuple[str, str]]) -> Finding:
    here = _migrations_here()
    labels = {label for label, _ in here}
    missing = sorted(here - applied)
    if missing:
        said = f"{len(missing)} not applied, first {'.'.join(missing[0])}"
        return problem("migrations", said, "run `manage.py migrate`")
    later = sorted(each for each in applied - here if each[0] in labels)
    if later:
        said = f"the database is of a later version: it has {'.'.join(later[-1])}"
        return problem("migrations", said, "install that version")
    return fine("migrations", "all applied")


def _look_at_version() -> Finding:
    refusal = version_refusal()
    if refusal:
        return problem("version", refusal, "install the same version everywhere, then migrate")
    return fine("version", settings.LABEL_AUDIT_VERSION)


def _look_at_space() -> Finding:
    home = settings.LABEL_AUDIT_HOME
    try:
        free = shutil.disk_usage(home).free
        is_writable = os.access(home, os.W_OK)
    except OSError as error:
        return problem("space", f"{home}: {error.strerror}", "see to the disk")
    if not is_writable:
        return problem("space", f"{home} can't be written", "see to the disk")
    said = f"{free / 1e9:.1f} GB free in {home}"
    if free < NO_SPACE:
        return problem("space", said, "make room: work waits while the disk is full")
    if free < LITTLE_SPACE:
        return warn("space", said, "make room before it is gone")
    return fine("space", said)


def _look_at_messages() -> Finding:
    """Look at Redis, where there is one: without it pages work and only wake-ups wait."""
    if not settings.REDIS_URL:
        return fine("messages", "files in a folder")
    try:
        facts = ask_redis(settings.REDIS_URL, seconds=REDIS_SECONDS)
    except OSError as error:
        return warn("messages", f"Redis: {error}", "start it, or correct LABEL_AUDIT_REDIS")
    if facts.get("role") == "slave":
        return warn("messages", "Redis is a replica: nothing can be written", "name the primary")
    if (policy := facts.get("maxmemory_policy", "noeviction")) != "noeviction":
        said = f"Redis's maxmemory-policy is {policy}: wake-ups may be thrown away"
        return warn("messages", said, "set maxmemory-policy noeviction")
    return fine("messages", f"Redis {facts.get('redis_version', '')}")


def look_at_work() -> Iterator[Finding]:
    """Look for work that nobody takes, and for claims of the dead that nobody takes back."""
    pending = Chunk.objects.pending()
    since = pending.aggregate(since=Min("score_set__created_at"))["since"]
    waits = since or ScoreSet.objects.to_close().exists() or Audit.objects.to_calibrate().exists()
    silent = Now() - timedelta(seconds=settings.CLAIM_SECONDS) - FORGOTTEN
    claims = Chunk.objects.filter(work=Claimable.Work.RUNNING, heartbeat_at__lt=silent)
    if waits and not Worker.objects.listening().exists():
        said = f"it waits since {since:%d %b %H:%M} UTC" if since else "it waits"
        yield warn("work", f"{said}, and no worker listens", "start one: `make worker`")
    elif claims.exists():
        yield warn("work", "claims of silent workers aren't taken back", "start a worker")
    else:
        yield fine("work", "nothing waits in vain")


_guard = threading.Lock()
_last: tuple[float, list[Finding]] = (float("-inf"), [])


def recent_look() -> list[Finding]:
    """Return what a look of the last two seconds found, or look again.

    While one thread looks, say at a Redis that takes its time, others are told what was before.
    """
    global _last  # noqa: PLW0603 - one for the whole process
    looked_at, findings = _last
    if time.monotonic() - looked_at < FRESH_SECONDS:
        return findings
    if not _guard.acquire(blocking=not findings):
        return findings
    try:
        findings = look()
        _last = (time.monotonic(), findings)
    finally:
        _guard.release()
    return findings


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level among the findings."""
    levels = {finding.level for finding in findings}
    return next((each for each in (Level.PROBLEM, Level.WARNING) if each in levels), Level.OK)
