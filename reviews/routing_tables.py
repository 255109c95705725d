"""A measured cascade as the file that answers, at inference time, which model to ask."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from audit.models import Measurement
from scoring.cascade import Cascade
from scoring.routing import FORMAT


def write_routing_table(row: Measurement, k: int | None = None) -> dict[str, Any]:
    """Return the routing table with where it comes from; ``k`` other than the measured one is told.

    Raises ``ValueError`` for a ``k`` that there is no bin for.
    """
    found = row.document
    cascade = Cascade.from_json(found["cascade"])
    chosen = cascade if k is None else cascade.at(k)
    point = found["curves"]["CC"][chosen.k]
    asked = found["settings"]
    dataset = row.audit.dataset
    return {
        "format": FORMAT,
        **chosen.to_json(),
        "experts": {"small": asked["small"], "large": asked["large"]},
        "fitted_on": {
            "dataset": asked["dataset"],
            "sha256": dataset.sha256,
            "items": found["items"]["validation"],
            "seed": asked["seed"],
        },
        "measured": {
            "dataset": asked["test_dataset"],
            "labels": asked["labels"],
            "items": found["items"]["test"],
            "small_ratio": point["small_ratio"],
            "accuracy": point["accuracy"],
            "k_chosen_on_fitting_half": cascade.k,
        },
        "source": {"audit": row.audit_id, "measurement": row.number},
        "code_version": settings.LABEL_AUDIT_VERSION,
        "notes": [*found["warnings"], *found["notes"]],
    }
