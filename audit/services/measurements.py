"""Order a measurement, have a worker make it, and pick up what a dead worker left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from audit.models import Audit, Measurement
from audit.score_store import ScoreStoreError
from audit.services import claims

Tell: TypeAlias = Callable[[int, int], None]
"""Called with the steps that are done and those there are; stops what nobody waits for."""

logger = logging.getLogger(__name__)


def order_measurement(
    audit: Audit, kind: Measurement.Kind, order: Mapping[str, Any], person: User | None = None
) -> Measurement:
    """Record that a measurement is wanted; one that is under way with the same order serves."""
    rows = Measurement.objects.filter(audit=audit, kind=kind)
    for row in rows.under_way():
        if row.order == dict(order):
            return row
    while True:
        newest = rows.aggregate(Max("number"))["number__max"] or 0
        try:
            with transaction.atomic():
                return Measurement.objects.create(
                    audit=audit,
                    kind=kind,
                    number=newest + 1,
                    order=dict(order),
                    created_by=person,
                )
        except IntegrityError:
            if not rows.filter(number=newest + 1).exists():
                raise


def build_measurement(
    measurement_id: int, measure: Callable[[Measurement, Tell], dict[str, Any]]
) -> bool:
    """Make one pending measurement; False when there is nothing to do or the claim was lost.

    What can't be measured is told in the row; a row never holds half of its figures.
    """
    rows = Measurement.objects.select_related("audit__dataset")
    row = rows.filter(pk=measurement_id).first()
    epoch = claims.claim(row) if row else None
    if row is None or epoch is None:
        return False
    held = Measurement.objects.filter(pk=row.pk, work=Measurement.Work.RUNNING, epoch=epoch)

    def tell(n_done: int, n_steps: int) -> None:
        if not held.update(n_done=n_done, n_steps=n_steps):
            raise claims.ClaimLostError

    try:
        tell(0, 0)
        with claims.heartbeat(row, epoch):
            document = measure(row, tell)
    except claims.ClaimLostError:
        logger.info("%s was cancelled or taken over", row)
        return False
    except (OSError, ValueError, ScoreStoreError) as error:
        logger.warning("%s failed: %s", row, error)
        claims.fail(row, epoch, str(error))
        return False
    return claims.commit(row, epoch, document=document)


def reconcile_measurements() -> int:
    """Return measurements of dead workers to the pending ones; give up after three."""
    lost = claims.abandoned(Measurement.objects.all())
    for row in lost:
        claims.retry_or_fail(row, f"worker {row.owner} died or fell silent")
    return len(lost)
