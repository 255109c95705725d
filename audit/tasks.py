"""What workers are woken up for. Each task fetches by id, calls a service, stops.

A message carries an id and nothing else. It may be lost, repeated or come late: the services
find in the database whether there is anything to do.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from audit.config.celery import app
from audit.models import Audit, Chunk, Claimable
from audit.services import attempts, calibration, chunks, claims
from audit.services.audits import retry_or_fail_audit

logger = logging.getLogger(__name__)
# Enough wake-ups on their way to keep every worker busy, few enough that a cancelled audit or
# an urgent one doesn't wait behind thousands.
ANNOUNCED_AHEAD = 16


@app.task(name="audit.tasks.process_chunk")
def process_chunk(chunk_id: int, **_: Any) -> None:
    """Score one chunk; whatever goes wrong is recorded on it and tried again or narrowed down."""
    chunk_id = chunks.make_way_for_urgent(chunk_id)
    try:
        chunks.score_chunk(chunk_id)
    except BaseException as error:
        # Also what isn't an Exception: a library that calls sys.exit() must not cost the chunk
        # the time until its claim runs out.
        logger.warning("chunk %s failed", chunk_id, exc_info=True)
        running = Chunk.objects.filter(
            pk=chunk_id, work=Claimable.Work.RUNNING, owner=claims.owner_name()
        )
        for chunk in running.select_related("score_set__dataset"):
            attempts.give_up_attempt(chunk, f"{type(error).__name__}: {error}", killed=False)
        if not isinstance(error, Exception):
            raise


@app.task(name="audit.tasks.calibrate_audit")
def calibrate_audit(audit_id: int, **_: Any) -> None:
    """Calibrate and flag one audit; an attempt that raises is recorded and tried again."""
    try:
        calibration.calibrate_audit(audit_id)
    except Exception as error:
        logger.warning("audit %s failed", audit_id, exc_info=True)
        running = Audit.objects.filter(
            pk=audit_id, work=Claimable.Work.RUNNING, owner=claims.owner_name()
        )
        for audit in running:
            retry_or_fail_audit(audit, f"{type(error).__name__}: {error}")


def announce_work() -> int:
    """Send wake-ups for pending work that has none on its way; return how many."""
    due = _due()
    room = ANNOUNCED_AHEAD - Chunk.objects.announced().count()
    waiting = Chunk.objects.pending().filter(due).in_order()
    sent = 0
    for pk in list(waiting.values_list("pk", flat=True)[: max(room, 0)]):
        if Chunk.objects.pending().filter(due, pk=pk).update(announced_at=Now()):
            process_chunk.delay(pk)
            sent += 1
    calibrating = Audit.objects.filter(
        due, state=Audit.State.CALIBRATING, work=Claimable.Work.PENDING
    )
    for pk in list(calibrating.values_list("pk", flat=True)):
        if calibrating.filter(pk=pk).update(announced_at=Now()):
            calibrate_audit.delay(pk)
            sent += 1
    return sent


def _due() -> Q:
    """Never announced, or so long ago that the wake-up must have got lost."""
    lost = Now() - timedelta(seconds=2 * settings.CLAIM_SECONDS)
    return Q(announced_at__isnull=True) | Q(announced_at__lt=lost)
