"""One expert from logits to audited scores: fit both halves, measure, score out of sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import (
    NOT_SCORED,
    Floats,
    Ints,
    Mask,
    Rows,
    as_labels,
    as_mask,
    as_rows,
    finite_rows,
    key_ranks,
    working_type,
)
from scoring.binning import ReliabilityTable, check_n_bins, reliability_table
from scoring.calibration import (
    ConfidenceCalibrator,
    Degenerate,
    HistogramBinner,
    IsotonicCalibrator,
    PlattScaler,
    TemperatureScaler,
)
from scoring.confidence import PROBABILITY_FLOOR, ScoredItems, scored_at, scored_by_confidence
from scoring.intervals import Interval
from scoring.last_pass import LastPass
from scoring.paired import mean_interval
from scoring.readings import Readings, read_items
from scoring.slopes import NO_GROUP
from scoring.temperature import LabelledRows, fit_temperatures

CalibratorName: TypeAlias = Literal["temperature", "platt", "histogram", "isotonic", "none"]
CALIBRATORS: tuple[CalibratorName, ...] = get_args(CalibratorName)

HISTOGRAM_BINS = 20

Fitted = TypeVar("Fitted")


@dataclass(frozen=True, slots=True)
class ConfidenceHistogram:
    """Scored items per confidence interval of equal width; ``edges`` has one entry more."""

    edges: Floats
    raw: Ints
    calibrated: Ints


@dataclass(frozen=True, slots=True)
class ExpertCalibration:
    """Everything an audit keeps of one expert.

    ``ece``, ``nll``, ``brier`` and ``reliability`` have the keys ``a_before``, ``a_after``,
    ``b_before``, ``b_after``: measured on half A or B, before or after the calibrator fitted on
    **A**, as in Table 1. A figure is None (a table absent) where its half has no scored item or
    nothing was fitted. ``brier`` is the mean of (confidence - correct)^2. ``nll_interval`` and
    ``brier_interval`` have the limits of both means, where a half has two items. ``scored`` is
    cross-fitted: half A is scored by ``calibrator_b``, half B by ``calibrator_a``. Where either
    fit is refused, ``degenerate`` says why and scores stay raw.
    """

    n_scored: int
    accuracy: float | None
    calibrator_a: TemperatureScaler | ConfidenceCalibrator | None
    calibrator_b: TemperatureScaler | ConfidenceCalibrator | None
    degenerate: Degenerate | None
    ece: Mapping[str, float | None]
    nll: Mapping[str, float | None]
    brier: Mapping[str, float | None]
    nll_interval: Mapping[str, Interval]
    brier_interval: Mapping[str, Interval]
    reliability: Mapping[str, ReliabilityTable]
    histogram: ConfidenceHistogram
    scored: ScoredItems

    @property
    def temperature(self) -> Floats:
        """The temperature each item was scored with, shape (n_items,); 1 where raw."""
        return self.scored.temperature

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The fitted numbers of each half as JSON, by ``a`` and ``b``; empty where none fitted."""
        fits = {"a": self.calibrator_a, "b": self.calibrator_b}
        return {half: fit.parameters for half, fit in fits.items() if fit is not None}


Figures: TypeAlias = tuple[Floats, Floats]
"""The confidence and the NLL of some items."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Two fits or the reason for none, and what is made of the items before and after.

    ``before`` and ``by_a`` return the figures of some items raw and by A alone; ``score`` returns
    all items cross-fitted.
    """

    fits: tuple[TemperatureScaler | ConfidenceCalibrator, ...]
    degenerate: Degenerate | None
    top1: NDArray[np.int32]
    before: Callable[[Mask], Figures]
    by_a: Callable[[Mask], Figures]
    score: Callable[[], ScoredItems]


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

    ``calibrator``: ``temperature`` rescales all logits. The others calibrate the top class's
    confidence alone - ``platt`` from its logit, ``histogram`` (in ``n_bins`` bins) and
    ``isotonic`` from its raw probability - and the other classes share what is left in proportion
    to their raw probabilities; those are the probabilities that Confident Learning then sees.
    """
    if calibrator not in CALIBRATORS:
        raise ValueError(f"calibrator must be one of {CALIBRATORS}, got {calibrator!r}")
    check_n_bins(n_bins)
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    mask = _known_valid(rows, given_labels, valid)
    labels = as_labels(given_labels, n_items, n_classes, mask)
    in_a = as_mask(half_a, n_items, "half_a")

    if calibrator in {"temperature", "none"}:
        fit = calibrator == "temperature"
        outcome = _calibrate_logits(rows, labels, in_a, mask, fit=fit)
    else:
        outcome = _calibrate_confidence(rows, labels, in_a, mask, calibrator, n_bins)
    mask = outcome.top1 != NOT_SCORED
    correct = mask & (outcome.top1 == labels)
    figures = _measure(outcome, correct, in_a, n_bins, key_ranks(keys, n_items))
    if not outcome.fits:
        figures = {name: each for name, each in figures.items() if name.endswith("before")}
    scored = outcome.score()
    names = [f"{half}_{moment}" for half in "ab" for moment in ("before", "after")]
    found = {name: figures.get(name) for name in names}
    return ExpertCalibration(
        n_scored=int(mask.sum()),
        accuracy=float(correct[mask].mean()) if mask.any() else None,
        calibrator_a=outcome.fits[0] if outcome.fits else None,
        calibrator_b=outcome.fits[1] if outcome.fits else None,
        degenerate=outcome.degenerate,
        ece={name: each.table.ece if each else None for name, each in found.items()},
        nll={name: each.nll if each else None for name, each in found.items()},
        brier={name: each.brier if each else None for name, each in found.items()},
        nll_interval={name: each.nll_interval for name, each in figures.items() if each.is_enough},
        brier_interval={
            name: each.brier_interval for name, each in figures.items() if each.is_enough
        },
        reliability={name: each.table for name, each in found.items() if each},
        histogram=_histogram(scored),
        scored=scored,
    )


def _known_valid(rows: Rows, labels: ArrayLike, valid: ArrayLike | None) -> Mask | None:
    """Return which rows count, None where that is those without NaN or infinity, whichever.

    Looking for these first would be one more pass, which only labels that mean nothing make worth
    it: they have to be told from labels that are wrong.
    """
    if valid is not None:
        return as_mask(valid, rows.shape[0])
    given = np.asarray(labels)
    usual = given.dtype.kind in "iu" and given.size and given.min() >= 0
    return None if usual and given.max() < rows.shape[1] else finite_rows(rows)


def _calibrate_logits(
    rows: Rows, labels: Ints, half_a: Mask, valid: Mask | None, *, fit: bool
) -> _Outcome:
    """Fit temperatures, unless raw scores are wanted, and score all items in one more pass."""
    fits: tuple[TemperatureScaler, ...] = ()
    degenerate = None
    readings = None
    if fit:
        fitted, reader = _fit_halves(rows, labels, half_a, valid)
        valid = reader.valid
        fits, degenerate = _both(
            [each if isinstance(each, Degenerate) else TemperatureScaler(each) for each in fitted]
        )
    if not fits:
        readings = read_items(rows, labels, valid, [1.0])
        return _raw_outcome(readings, degenerate)
    on_a, on_b = (each.temperature for each in fits)
    wanted = [np.where(half_a, on_b, on_a), np.broadcast_to(np.float64(on_a), labels.shape)]
    readings = reader.take(wanted)
    if readings is None:
        readings = read_items(rows, labels, valid, [wanted[0], on_a, 1.0])
    return _Outcome(
        fits,
        None,
        readings.top1,
        before=_figures_at(readings, 2),
        by_a=_figures_at(readings, 1),
        score=partial(scored_at, readings, 0, raw=2),
    )


def _fit_halves(
    rows: Rows, labels: Ints, half_a: Mask, valid: Mask | None
) -> tuple[list[float | Degenerate], LastPass]:
    """Fit both halves; the reader of the last pass knows then which rows are valid."""
    groups = np.where(half_a, 0, 1).astype(np.int8)
    if valid is not None:
        groups[~valid] = NO_GROUP
    labelled = LabelledRows(rows, labels, groups, finite_only=valid is None)
    reader = LastPass(labelled, valid)
    # What float64 rows are worth does not survive being moved to another temperature.
    read_last = reader if working_type(rows) == np.float32 else None
    fitted = fit_temperatures(labelled, 2, read_last)
    if valid is None:
        found = reader.valid
        reader.valid = finite_rows(rows) if found is None else found
        if not reader.valid.all():
            groups[~reader.valid] = NO_GROUP
            # The first fit has counted rows that do not count: it only served to find them.
            fitted = fit_temperatures(labelled, 2, read_last)
    return fitted, reader


def _raw_outcome(readings: Readings, degenerate: Degenerate | None) -> _Outcome:
    """Return the items as they were read, the first time at temperature 1."""
    figures = _figures_at(readings, 0)
    score = partial(scored_at, readings, 0, raw=0)
    return _Outcome((), degenerate, readings.top1, figures, figures, score)


def _figures_at(readings: Readings, number: int) -> Callable[[Mask], Figures]:
    return lambda items: (readings.confidence(number, items), readings.nll(number, items))


def _calibrate_confidence(
    rows: Rows,
    labels: Ints,
    half_a: Mask,
    valid: Mask | None,
    calibrator: CalibratorName,
    n_bins: int,
) -> _Outcome:
    """Read the items once, fit the confidence of the top class and share out the rest."""
    readings = read_items(rows, labels, valid, [1.0])
    scores = readings.confidence(0)
    if calibrator == "platt":
        scores = readings.top_logit.astype(np.float64)

    tried: list[ConfidenceCalibrator | Degenerate] = [
        _fit_confidence(calibrator, scores[half], readings.agrees[half], n_bins)
        for half in (half_a & readings.valid, ~half_a & readings.valid)
    ]
    fits: tuple[ConfidenceCalibrator, ...]
    fits, degenerate = _both(tried)
    if not fits:
        return _raw_outcome(readings, degenerate)
    on_a, on_b = (_apply(each, scores, readings.valid) for each in fits)
    by_a = scored_by_confidence(readings, on_a)

    def figures(items: Mask) -> Figures:
        on_given = by_a.given_probability[items]
        return on_a[items], -np.log(np.maximum(on_given, PROBABILITY_FLOOR))

    return _Outcome(
        fits,
        None,
        readings.top1,
        before=_figures_at(readings, 0),
        by_a=figures,
        score=lambda: scored_by_confidence(readings, np.where(half_a, on_b, on_a)),
    )


def _fit_confidence(
    calibrator: CalibratorName, scores: Floats, correct: Mask, n_bins: int
) -> ConfidenceCalibrator | Degenerate:
    try:
        if calibrator == "platt":
            return PlattScaler.fit(scores, correct)
        if calibrator == "histogram":
            return HistogramBinner.fit(scores, correct, n_bins)
        return IsotonicCalibrator.fit(scores, correct)
    except Degenerate as refusal:
        return refusal


def _apply(calibrator: ConfidenceCalibrator, scores: Floats, valid: Mask) -> Floats:
    """Return calibrated confidences, (n_items,), NaN where not scored."""
    confidence = np.full(scores.size, np.nan)
    confidence[valid] = calibrator.apply(scores[valid])
    return confidence


def _both(fits: Sequence[Fitted | Degenerate]) -> tuple[tuple[Fitted, ...], Degenerate | None]:
    """Return the calibrators of halves A and B, or why one of them could not be fitted."""
    fitted = []
    for name, fit in zip("AB", fits, strict=True):
        if isinstance(fit, Degenerate):
            return (), Degenerate(fit.reason, f"half {name}: {fit.detail}")
        fitted.append(fit)
    return tuple(fitted), None


@dataclass(frozen=True, slots=True)
class _Measures:
    table: ReliabilityTable
    nll: float
    brier: float
    nll_interval: Interval
    brier_interval: Interval

    @property
    def is_enough(self) -> bool:
        """Whether means have limits."""
        return int(self.table.count.sum()) > 1


def _measure(
    outcome: _Outcome, correct: Mask, half_a: Mask, n_bins: int, ranks: Ints
) -> dict[str, _Measures]:
    """Return the figures of each half that has scored items, before and after the fit on A."""
    measured = {}
    for half_name, half in (("a", half_a), ("b", ~half_a)):
        items = half & (outcome.top1 != NOT_SCORED)
        if not items.any():
            continue
        right, ties = correct[items], ranks[items]
        for moment, figures in (("before", outcome.before), ("after", outcome.by_a)):
            confidence, nll = figures(items)
            squares = np.square(confidence - right)
            measured[f"{half_name}_{moment}"] = _Measures(
                table=reliability_table(confidence, right, n_bins, keys=ties),
                nll=float(nll.mean()),
                brier=float(squares.mean()),
                nll_interval=mean_interval(nll),
                brier_interval=mean_interval(squares),
            )
    return measured


def _histogram(scored: ScoredItems) -> ConfidenceHistogram:
    """Count the scored items by raw and by cross-fitted confidence."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    counts = [
        np.histogram(confidence[scored.valid], edges)[0].astype(np.int64)
        for confidence in (scored.raw_confidence, scored.confidence)
    ]
    return ConfidenceHistogram(edges=edges, raw=counts[0], calibrated=counts[1])
