"""One expert from logits to audited scores: fit both halves, measure, score out of sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, Rows, as_labels, as_mask, as_rows, key_ranks
from scoring.arrays import valid_rows as usable_rows
from scoring.binning import ReliabilityTable, check_n_bins, reliability_table
from scoring.calibration import Degenerate, TemperatureScaler
from scoring.confidence import ScoredItems, score_items_twice

CalibratorName: TypeAlias = Literal["temperature", "none"]

HISTOGRAM_BINS = 20


@dataclass(frozen=True, slots=True)
class ConfidenceHistogram:
    """Scored items per confidence interval of equal width; ``edges`` has one entry more."""

    edges: Floats
    raw: Ints
    calibrated: Ints


@dataclass(frozen=True, slots=True)
class ExpertCalibration:
    """Everything an audit keeps of one expert.

    ``ece``, ``nll`` and ``reliability`` have the keys ``a_before``, ``a_after``, ``b_before``,
    ``b_after``: measured on half A or B, before or after the calibrator fitted on **A**, as in
    Table 1. A figure is None (a table absent) where its half has no scored item or nothing was
    fitted. ``scored`` is cross-fitted: half A is scored by ``calibrator_b``, half B by
    ``calibrator_a``. Where either fit is refused, ``degenerate`` says why and scores stay raw.
    """

    n_scored: int
    accuracy: float | None
    calibrator_a: TemperatureScaler | None
    calibrator_b: TemperatureScaler | None
    degenerate: Degenerate | None
    ece: Mapping[str, float | None]
    nll: Mapping[str, float | None]
    reliability: Mapping[str, ReliabilityTable]
    histogram: ConfidenceHistogram
    scored: ScoredItems

    @property
    def temperature(self) -> Floats:
        """The temperature each item was scored with, shape (n_items,); 1 where raw."""
        return self.scored.temperature


def calibrate_expert(
    logits: Rows | ArrayLike,
    given_labels: ArrayLike,
    half_a: ArrayLike,
    *,
    calibrator: CalibratorName = "temperature",
    n_bins: int = 15,
    keys: ArrayLike | Sequence[str] | None = None,
    valid: ArrayLike | None = None,
) -> ExpertCalibration:
    """Calibrate one expert on either half and score every item out of sample (Section 2.1).

    ``logits`` (n_items, n_classes) is streamed a handful of times; ``given_labels`` (n_items,) are
    class indices; ``half_a`` (n_items,) marks the first half; ``keys`` break ties between bins;
    ``valid`` (n_items,) marks the scored items, by default the rows without NaN or infinity.
    """
    if calibrator not in {"temperature", "none"}:
        raise ValueError(f"calibrator must be 'temperature' or 'none', got {calibrator!r}")
    check_n_bins(n_bins)
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    mask = usable_rows(rows, valid)
    labels = as_labels(given_labels, n_items, n_classes, mask)
    in_a = as_mask(half_a, n_items, "half_a")
    ranks = key_ranks(keys, n_items)

    fits, degenerate = None, None
    if calibrator == "temperature":
        fits, degenerate = _fit_halves(rows, labels, in_a, mask)
    on_a, on_b = (1.0, 1.0) if fits is None else (fits[0].temperature, fits[1].temperature)
    cross = np.where(in_a, on_b, on_a)
    scored, reported = score_items_twice(rows, labels, cross, on_a, valid=mask)

    correct = mask & (scored.top1 == labels)
    figures = _measure(reported, correct, in_a, n_bins, ranks, fitted=fits is not None)
    return ExpertCalibration(
        n_scored=int(mask.sum()),
        accuracy=float(correct[mask].mean()) if mask.any() else None,
        calibrator_a=fits[0] if fits else None,
        calibrator_b=fits[1] if fits else None,
        degenerate=degenerate,
        ece={name: table.ece if table else None for name, (table, _) in figures.items()},
        nll={name: nll for name, (_, nll) in figures.items()},
        reliability={name: table for name, (table, _) in figures.items() if table},
        histogram=_histogram(scored),
        scored=scored,
    )


def _fit_halves(
    logits: Rows,
    labels: Ints,
    half_a: Mask,
    valid: Mask,
) -> tuple[tuple[TemperatureScaler, TemperatureScaler] | None, Degenerate | None]:
    """Return the calibrators of halves A and B, or why one of them could not be fitted."""
    fits = []
    for name, half in (("A", half_a), ("B", ~half_a)):
        try:
            fits.append(TemperatureScaler.fit(logits, labels, valid=half & valid))
        except Degenerate as refusal:
            return None, Degenerate(refusal.reason, f"half {name}: {refusal.detail}")
    return (fits[0], fits[1]), None


def _measure(
    reported: ScoredItems,
    correct: Mask,
    half_a: Mask,
    n_bins: int,
    ranks: Ints,
    *,
    fitted: bool,
) -> dict[str, tuple[ReliabilityTable | None, float | None]]:
    """Return reliability table and mean NLL for each half, before and after the fit on A."""
    figures: dict[str, tuple[ReliabilityTable | None, float | None]] = {}
    for half_name, half in (("a", half_a), ("b", ~half_a)):
        items = np.flatnonzero(half & reported.valid)
        for moment, confidence, nll in (
            ("before", reported.raw_confidence, reported.raw_nll),
            ("after", reported.confidence, reported.nll),
        ):
            name = f"{half_name}_{moment}"
            if items.size == 0 or (moment == "after" and not fitted):
                figures[name] = (None, None)
                continue
            table = reliability_table(confidence[items], correct[items], n_bins, keys=ranks[items])
            figures[name] = (table, float(nll[items].mean()))
    return figures


def _histogram(scored: ScoredItems) -> ConfidenceHistogram:
    """Count the scored items by raw and by cross-fitted confidence."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    counts = [
        np.histogram(confidence[scored.valid], edges)[0].astype(np.int64)
        for confidence in (scored.raw_confidence, scored.confidence)
    ]
    return ConfidenceHistogram(edges=edges, raw=counts[0], calibrated=counts[1])
