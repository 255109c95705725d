"""An audit as the JSON document that `audit --json` prints."""

from __future__ import annotations

from typing import Any

from audit.models import Audit


def describe_audit(audit: Audit) -> dict[str, Any]:
    """Return the audit's result under the names that scripts rely on."""
    return {
        "audit": audit.pk,
        "state": audit.state,
        "items": audit.dataset.n_items,
        "quarantined": audit.dataset.n_quarantined,
        "disputed": audit.n_disputed,
        "experts": [
            {
                "name": expert.name,
                "calibrator": expert.calibration.get("calibrator"),
                "parameters": expert.calibration.get("parameters", {}),
                "degenerate": (expert.calibration.get("degenerate") or {}).get("reason"),
                "accuracy": expert.calibration.get("accuracy"),
                "ece": expert.calibration.get("ece", {}),
                "ece_interval": expert.calibration.get("ece_interval", {}),
                "nll": expert.calibration.get("nll", {}),
                "brier": expert.calibration.get("brier", {}),
                "scores_sha256": expert.score_set.sha256,
            }
            for expert in audit.experts.select_related("score_set").order_by("order")
        ],
        "queues": audit.queue_counts,
        "seconds": audit.seconds,
        "sha256": audit.sha256,
    }
