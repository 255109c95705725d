"""Claim, heartbeat, commit: one worker at a time holds a piece of work, and only it may finish it.

Every change is one conditional UPDATE, so two workers that race are told apart by the database
and a worker that comes back from the dead finds its epoch gone. All times are the database's.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Now

from audit.models import Claimable
from audit.redaction import clean_error

MAX_ATTEMPTS = 3
# How long work rests when what it needs is away.
PAUSE_SECONDS = 10
Work = TypeVar("Work", bound=Claimable)


class ClaimLostError(RuntimeError):
    """Somebody else took the work over; what was computed here must not be written."""


def owner_name() -> str:
    """Return this process's name as an owner of work: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(row: Claimable, owner: str | None = None) -> int | None:
    """Take pending work and return its new epoch, or None when it isn't there to take."""
    taken = (
        type(row)
        ._default_manager.filter(pk=row.pk, work=Claimable.Work.PENDING, epoch=row.epoch)
        .update(
            work=Claimable.Work.RUNNING,
            epoch=F("epoch") + 1,
            attempts=F("attempts") + 1,
            owner=owner or owner_name(),
            claimed_at=Now(),
            heartbeat_at=None,
            error="",
        )
    )
    return row.epoch + 1 if taken == 1 else None


def beat(row: Claimable, epoch: int) -> bool:
    """Renew a claim; False when it was lost."""
    held = type(row)._default_manager.filter(pk=row.pk, work=Claimable.Work.RUNNING, epoch=epoch)
    return held.update(heartbeat_at=Now()) == 1


def commit(row: Claimable, epoch: int, **fields: Any) -> bool:
    """Finish claimed work, writing `fields`; False when the claim was lost."""
    held = type(row)._default_manager.filter(pk=row.pk, work=Claimable.Work.RUNNING, epoch=epoch)
    return held.update(work=Claimable.Work.DONE, finished_at=Now(), error="", **fields) == 1


def fail(row: Claimable, epoch: int, error: str) -> bool:
    """Give claimed work up for good, with the reason."""
    held = type(row)._default_manager.filter(pk=row.pk, work=Claimable.Work.RUNNING, epoch=epoch)
    return held.update(work=Claimable.Work.FAILED, finished_at=Now(), error=clean_error(error)) == 1


def put_back(row: Claimable, epoch: int, error: str) -> bool:
    """Return claimed work to the pending ones, to be tried again."""
    held = type(row)._default_manager.filter(pk=row.pk, work=Claimable.Work.RUNNING, epoch=epoch)
    return (
        held.update(
            work=Claimable.Work.PENDING,
            owner="",
            announced_at=None,
            error=clean_error(error),
        )
        == 1
    )


def put_off(row: Claimable, epoch: int, error: str) -> bool:
    """Return claimed work to the pending ones for a while: what it needs is away, say a full disk.

    That is nobody's failed attempt, and it isn't given up however often it happens.
    """
    held = type(row)._default_manager.filter(pk=row.pk, work=Claimable.Work.RUNNING, epoch=epoch)
    return (
        held.update(
            work=Claimable.Work.PENDING,
            attempts=F("attempts") - 1,
            owner="",
            announced_at=None,
            not_before=Now() + timedelta(seconds=PAUSE_SECONDS),
            error=clean_error(error),
        )
        == 1
    )


def cancel(row: Claimable) -> bool:
    """Stop work that waits or is under way; whoever holds it finds its claim gone."""
    rows = type(row)._default_manager.filter(
        pk=row.pk, work__in=[Claimable.Work.PENDING, Claimable.Work.RUNNING]
    )
    return rows.update(work=Claimable.Work.CANCELLED, finished_at=Now(), error="") == 1


def resume(row: Claimable) -> bool:
    """Have work done after all that was cancelled or has failed."""
    rows = type(row)._default_manager.filter(
        pk=row.pk, work__in=[Claimable.Work.CANCELLED, Claimable.Work.FAILED]
    )
    again = {"attempts": 0, "announced_at": None, "not_before": None, "finished_at": None}
    return rows.update(work=Claimable.Work.PENDING, error="", **again) == 1


def abandoned(rows: QuerySet[Work]) -> list[Work]:
    """Return the running ones of `rows` whose worker is dead.

    Dead is who gave no sign of life for CLAIM_SECONDS, counted from the claim where there never
    was a heartbeat, and at once a process of this very host that no longer exists.
    """
    running = rows.filter(work=Claimable.Work.RUNNING)
    too_long_ago = Now() - timedelta(seconds=settings.CLAIM_SECONDS)
    silent = set(
        running.annotate(last_sign=Coalesce("heartbeat_at", "claimed_at"))
        .filter(last_sign__lt=too_long_ago)
        .values_list("pk", flat=True)
    )
    return [row for row in running if row.pk in silent or is_dead_here(row.owner)]


def is_dead_here(owner: str) -> bool:
    """Whether `owner` names a process of this host that no longer exists."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def retry_or_fail(row: Claimable, reason: str) -> bool:
    """Return abandoned work to the pending ones, or give it up after MAX_ATTEMPTS.

    True when it is given up.
    """
    if row.attempts < MAX_ATTEMPTS:
        put_back(row, row.epoch, reason)
        return False
    return fail(row, row.epoch, reason)


@contextmanager
def heartbeat(row: Claimable, epoch: int) -> Iterator[threading.Event]:
    """Renew the claim from a side thread; the event yielded is set once the claim is lost.

    The thread has a database connection of its own. A beat that can't reach the database for
    half the claim's time counts as lost, because by then somebody else may hold the work.
    """
    lost = threading.Event()
    stop = threading.Event()
    interval = settings.CLAIM_SECONDS / 4

    def renew() -> None:
        failures = 0
        try:
            while not stop.wait(interval):
                try:
                    if not beat(row, epoch):
                        lost.set()
                        return
                    failures = 0
                except DatabaseError:
                    failures += 1
                    if failures >= 2:
                        lost.set()
                        return
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"heartbeat-{row.pk}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()
