"""What a worker does with an ordered measurement, by its kind."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User

from audit.models import Audit, Dataset, Measurement
from audit.services.calibrators import compare_calibrators
from audit.services.measurements import Tell, build_measurement, order_measurement
from reviews.cascade_halves import Order
from reviews.cascades import measure_cascade
from reviews.decisions import Snapshot
from reviews.evaluation_labels import freeze_labels
from reviews.second_pass import SecondOrder, measure_second_pass


def order_cascade(
    audit: Audit, order: Order, test_dataset: Dataset | None, person: User | None = None
) -> Measurement:
    """Have a cascade measured on what is judged so far."""
    test = test_dataset or audit.dataset
    asked = asdict(order) | {
        "test_dataset": test_dataset.slug if test_dataset else "",
        "snapshot": _write_snapshot(freeze_labels(test, order.labels)),
    }
    return order_measurement(audit, Measurement.Kind.CASCADE, asked, person)


def order_second_pass(audit: Audit, order: SecondOrder, person: User | None = None) -> Measurement:
    """Have every expert measured on what is judged so far."""
    snapshot = freeze_labels(audit.dataset, order.labels)
    asked = asdict(order) | {"snapshot": _write_snapshot(snapshot)}
    return order_measurement(audit, Measurement.Kind.SECOND_PASS, asked, person)


def measure(measurement_id: int) -> bool:
    """Make one pending measurement; False when there was nothing to do."""
    return build_measurement(measurement_id, _measure)


def _measure(row: Measurement, tell: Tell) -> dict[str, Any]:
    if row.kind == Measurement.Kind.CALIBRATORS:
        return compare_calibrators(row.audit, tell)
    asked = dict(row.order)
    asked["snapshot"] = _read_snapshot(asked["snapshot"])
    if row.kind == Measurement.Kind.SECOND_PASS:
        return measure_second_pass(row.audit, SecondOrder(**asked), tell)
    slug = asked.pop("test_dataset")
    order = Order(**asked)
    test_dataset = Dataset.objects.get(slug=slug) if slug else None
    return measure_cascade(row.audit.dataset, order, test_dataset, tell)


def _write_snapshot(snapshot: Snapshot | None) -> list[int] | None:
    return [snapshot.judgment, snapshot.adjudication] if snapshot else None


def _read_snapshot(stored: list[int] | None) -> Snapshot | None:
    return Snapshot(*stored) if stored else None
