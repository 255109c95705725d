"""Does pending work in this very process, until a condition holds: what `--wait` uses.

Workers may be busy on the same audit at the same time; claims keep them apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from audit.models import Audit, Chunk, Claimable
from audit.services.audits import advance_audits
from audit.services.reconcile import reconcile
from audit.tasks import calibrate_audit, process_chunk

PAUSE_SECONDS = 0.2
RECONCILE_SECONDS = 5.0


def work_until(is_over: Callable[[], bool]) -> None:
    """Score chunks and calibrate audits here, one after the other, until `is_over()`."""
    reconciled_at = 0.0
    while not is_over():
        if time.monotonic() - reconciled_at > RECONCILE_SECONDS:
            reconcile()
            reconciled_at = time.monotonic()
        chunk_id = Chunk.objects.pending().in_order().values_list("pk", flat=True).first()
        if chunk_id is not None:
            process_chunk(chunk_id)
        advance_audits()
        audits = Audit.objects.filter(
            state=Audit.State.CALIBRATING, work=Claimable.Work.PENDING
        ).values_list("pk", flat=True)
        for audit_id in audits:
            calibrate_audit(audit_id)
        if chunk_id is None and not audits and not is_over():
            time.sleep(PAUSE_SECONDS)
