"""Does pending work in this very process, until a condition holds: what `--wait` uses.

Workers may be busy on the same audit at the same time; claims keep them apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.models import QuerySet

from audit.models import Audit, Chunk, ScoreSet
from audit.services.audits import advance_audits
from audit.services.reconcile import reconcile
from audit.tasks import calibrate_audit, close_scores, score_from

PAUSE_SECONDS = 0.2
RECONCILE_SECONDS = 5.0


def work_until(is_over: Callable[[], bool]) -> None:
    """Score chunks and calibrate audits here, one after the other, until `is_over()`."""
    reconciled_at = 0.0
    while not is_over():
        if time.monotonic() - reconciled_at > RECONCILE_SECONDS:
            reconcile()
            reconciled_at = time.monotonic()
        waiting: list[tuple[Callable[[int], None], QuerySet[Any]]] = [
            (partial(score_from, goes_on=True), Chunk.objects.pending().in_order()[:1]),
            (close_scores, ScoreSet.objects.to_close()),
            (calibrate_audit, Audit.objects.to_calibrate()),
        ]
        n_done = 0
        for task, rows in waiting:
            for pk in list(rows.values_list("pk", flat=True)):
                task(pk)
                n_done += 1
        advance_audits()
        if not n_done and not is_over():
            time.sleep(PAUSE_SECONDS)
