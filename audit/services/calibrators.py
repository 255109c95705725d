"""Every calibrator for every expert of an audit, and whether its two halves differ."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.models import Audit
from audit.score_store import ShardedLogits, open_scores
from audit.services.calibration import describe_calibration
from audit.services.measurements import Tell
from scoring.arrays import Mask
from scoring.calibration import TemperatureScaler
from scoring.calibration_drift import temperature_drift
from scoring.expert_calibration import CalibratorName, ExpertCalibration, calibrate_expert
from scoring.intervals import Interval
from scoring.splits import in_half_a

Document: TypeAlias = dict[str, Any]
COMPARED: tuple[CalibratorName, ...] = ("temperature", "platt", "histogram", "isotonic")


def compare_calibrators(audit: Audit, tell: Tell) -> Document:
    """Return each expert's calibration by every calibrator, as the audit would have stored it."""
    rows = list(audit.dataset.items.order_by("position").values_list("key", "given_label"))
    keys = [key for key, _ in rows]
    given = np.array([label for _, label in rows], dtype=np.int64)
    half_a = in_half_a(keys, audit.seed)
    experts = list(audit.experts.select_related("score_set").order_by("order"))
    n_steps = len(experts) * len(COMPARED)
    tell(0, n_steps)
    found: list[Document] = []
    for expert in experts:
        logits = open_scores(expert.score_set_id)
        described: Document = {}
        drift = None
        for name in COMPARED:
            calibration = calibrate_expert(
                logits, given, half_a, calibrator=name, n_bins=audit.n_bins, keys=keys
            )
            described[name] = describe_calibration(audit, calibration) | {"calibrator": name}
            drift = drift or describe_drift(logits, given, half_a, calibration)
            tell(len(found) * len(COMPARED) + len(described), n_steps)
        found.append({"name": expert.name, "calibrators": described, "drift": drift})
    return {"experts": found}


def describe_drift(
    logits: ShardedLogits, given: NDArray[np.int64], half_a: Mask, calibration: ExpertCalibration
) -> Document | None:
    """Return both halves' temperatures and the test of their difference; None without two fits."""
    fits = calibration.calibrator_a, calibration.calibrator_b
    if not (isinstance(fits[0], TemperatureScaler) and isinstance(fits[1], TemperatureScaler)):
        return None
    drift = temperature_drift(logits, given, half_a, (fits[0].temperature, fits[1].temperature))
    return {
        "a": _describe(drift.a),
        "b": _describe(drift.b),
        "ratio": _describe(drift.ratio),
        "p_value": drift.p_value,
    }


def _describe(interval: Interval) -> Document:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
