"""What workers are woken up for. Each task fetches by id, calls a service, stops.

A message carries an id and nothing else. It may be lost, repeated or come late: the services
find in the database whether there is anything to do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit.config.celery import app
from audit.log_context import busy_with
from audit.models import Audit, Chunk, Claimable, Import, ScoreSet
from audit.score_store import ScoreStoreError
from audit.services import attempts, calibration, chunks, claims, closing, imports, workers
from audit.services.audits import retry_or_fail_audit
from scoring.experts.base import ExpertUnavailable

logger = logging.getLogger(__name__)
Held = TypeVar("Held", bound=Claimable)
DATABASE_AWAY = (OperationalError, InterfaceError)
# What isn't there for now: nobody is to blame, and it is tried again until it is back.
AWAY = (*DATABASE_AWAY, ExpertUnavailable, ScoreStoreError, chunks.OtherExpertError)
# Enough wake-ups on their way to keep every worker busy, few enough that messages of a cancelled
# audit don't pile up.
ANNOUNCED_AHEAD = 16
ANNOUNCED_PER_SLOT = 4


@app.task(name="audit.tasks.process_chunk", bind=True)
def process_chunk(self: Any, /, chunk_id: int, **_: Any) -> None:
    """Score the chunk that a wake-up names; what is short needs no message of its own."""
    score_from(chunk_id, goes_on=not self.request.called_directly)


def score_from(chunk_id: int, *, goes_on: bool) -> None:
    """Score a chunk, and then for a moment others of its score set if it `goes_on`."""
    with database_may_leave():
        if is_refused(Chunk, chunk_id):
            return
        chunk = chunks.find_pending(chunks.make_way_for_urgent(chunk_id))
        if chunk is None or not attempt_chunk(chunk):
            return
        if not goes_on:
            chunks.close_if_small(chunk.score_set)
            return
        for other in chunks.others_like(chunk):
            if not attempt_chunk(other):
                return


def attempt_chunk(chunk: Chunk) -> bool:
    """Score one chunk; whatever goes wrong is recorded on it and tried again or narrowed down."""
    with busy_with(scores=chunk.score_set_id, chunk=chunk.pk):
        return _attempt_chunk(chunk)


def _attempt_chunk(chunk: Chunk) -> bool:
    try:
        return chunks.score_pending(chunk)
    except BaseException as error:
        # Also what isn't an Exception: a library that calls sys.exit() must not cost the chunk
        # the time until its claim runs out.
        logger.warning("chunk %s failed", chunk.pk, exc_info=True)
        reason = f"{type(error).__name__}: {error}"
        for held in held_here(Chunk, chunk.pk).select_related("score_set__dataset"):
            if isinstance(error, AWAY):
                own_words = not isinstance(error, DATABASE_AWAY)
                claims.put_off(held, held.epoch, str(error) if own_words else reason)
            else:
                attempts.give_up_attempt(held, reason, killed=False)
        if not isinstance(error, Exception):
            raise
        return False


@app.task(name="audit.tasks.calibrate_audit")
def calibrate_audit(audit_id: int, **_: Any) -> None:
    """Calibrate and flag one audit; an attempt that raises is recorded and tried again."""
    with busy_with(audit=audit_id), database_may_leave():
        if is_refused(Audit, audit_id):
            return
        try:
            calibration.calibrate_audit(audit_id)
        except Exception as error:
            logger.warning("audit %s failed", audit_id, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            for audit in held_here(Audit, audit_id):
                if isinstance(error, OSError) and error.strerror:
                    reason = f"files can't be written or read: {error.strerror}"
                if isinstance(error, (*AWAY, OSError)):
                    claims.put_off(audit, audit.epoch, reason)
                else:
                    retry_or_fail_audit(audit, reason)


@app.task(name="audit.tasks.close_scores")
def close_scores(score_set_id: int, **_: Any) -> None:
    """Close a score set whose chunks are all done."""
    with busy_with(scores=score_set_id), database_may_leave():
        if is_refused(ScoreSet, score_set_id):
            return
        closing.finish_scores(score_set_id)


@app.task(name="audit.tasks.bring_in")
def bring_in(import_id: int, **_: Any) -> None:
    """Bring one data set or an expert's scores in. Safe to deliver twice or to restart."""
    with database_may_leave():
        if not is_refused(Import, import_id):
            imports.run_import(import_id)


@contextmanager
def database_may_leave() -> Iterator[None]:
    """Leave work alone when the database goes away under it: its claim runs out by itself."""
    try:
        yield
    except DATABASE_AWAY as error:
        logger.warning("left alone, the database is away: %s", error)


def is_refused(kind: type[Claimable], pk: int) -> bool:
    """Hand a wake-up back if this worker is of another version than the installation."""
    refusal = workers.version_refusal()
    if refusal:
        logger.warning("%s %s left alone: %s", kind.__name__, pk, refusal)
        pending = kind._default_manager.filter(pk=pk, work=Claimable.Work.PENDING)
        pending.update(announced_at=None)
    return bool(refusal)


def held_here(kind: type[Held], pk: int) -> QuerySet[Held]:
    """Return the row if this process holds it, by a connection that works if there is one."""
    if not connection.in_atomic_block:
        close_old_connections()
    rows = kind._default_manager.filter(pk=pk, work=Claimable.Work.RUNNING)
    return rows.filter(owner=claims.owner_name())


def announce_work() -> int:
    """Send wake-ups for pending work that has none on its way; return how many."""
    ahead = max(ANNOUNCED_AHEAD, ANNOUNCED_PER_SLOT * workers.count_slots())
    room = max(ahead - Chunk.objects.announced().count(), 0)
    return (
        _announce_chunks(room)
        + announce(close_scores, ScoreSet.objects.to_close())
        + announce(calibrate_audit, Audit.objects.to_calibrate())
        + announce(bring_in, Import.objects.pending().of_data())
    )


def announce(task: Any, waiting: QuerySet[Any]) -> int:
    """Wake `task` for each of the waiting rows that has no wake-up on its way; return how many."""
    due = waiting.filter(_due())
    taken = [pk for pk in due.values_list("pk", flat=True) if _take(due, pk)]
    for pk in taken:
        task.delay(pk)
    return len(taken)


def _announce_chunks(room: int) -> int:
    taken: list[Chunk] = []
    # Score set by score set: sorting all that waits would take longer the more there is.
    for score_set in ScoreSet.objects.scoring().in_order():
        due = Chunk.objects.pending().filter(_due(), score_set=score_set)
        first = list(due.order_by("epoch", "start")[: room - len(taken)])
        # More may be due than is free; of these, some may have been claimed just now.
        is_all = len(first) < room - len(taken)
        taken += [chunk for chunk in first if _take(due, chunk.pk)]
        if not is_all:
            break
    for chunk in taken:
        process_chunk.apply_async((chunk.pk,), time_limit=attempts.seconds_for(chunk))
    return len(taken)


def _take(due: QuerySet[Any], pk: int) -> bool:
    """Note that a row is announced; of several engines one does, unless it is claimed by now."""
    return due.filter(pk=pk).update(announced_at=Now()) == 1


def _due() -> Q:
    """Never announced, or so long ago that the wake-up must have got lost."""
    lost = Now() - timedelta(seconds=2 * settings.CLAIM_SECONDS)
    return Q(announced_at__isnull=True) | Q(announced_at__lt=lost)
