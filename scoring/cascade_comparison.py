"""The routers of Section 3.2 side by side: fitted on one half, measured on the other.

The two halves need not come from one data set: with a test half of corrupted inputs, or of other
labels, calibrators and bins stay those of the validation half (Sections 3.4 and 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, as_mask, as_vector
from scoring.calibration import Calibrator, Degenerate
from scoring.cascade import Cascade, CascadeCurve, cascade_curve, random_curve
from scoring.cascade_measures import (
    Apgr,
    PairedPoint,
    apgr_difference,
    choose_k,
    curve_band,
    mcnemar_exact,
    measure_apgr,
    measure_point,
)
from scoring.intervals import Interval
from scoring.paired import paired_difference
from scoring.routers import (
    N_ORACLE_LEVELS,
    MatrixFactorizationRouter,
    oracle_levels,
    score_levels,
)


@dataclass(frozen=True, slots=True)
class PairScores:
    """A small and a large model on the same items; all arrays start with (n_items,).

    ``*_confidence``: calibrated; ``*_raw``: before calibration; ``*_correct``: whether the model's
    answer is right; ``features`` (n_items, n_features): what a learned router may look at, known
    before the large model runs. Classes, sequences and programs all come down to this.
    """

    small_confidence: Floats
    large_confidence: Floats
    small_raw: Floats
    large_raw: Floats
    small_correct: Mask
    large_correct: Mask
    features: Floats

    @classmethod
    def of(
        cls,
        confidences: tuple[ArrayLike, ArrayLike],
        raw: tuple[ArrayLike, ArrayLike],
        correct: tuple[ArrayLike, ArrayLike],
        features: ArrayLike | None = None,
    ) -> PairScores:
        """Return the scores, checked; every pair is (small, large).

        Without ``features`` a learned router sees the small model's raw score alone.
        """
        columns = [as_vector(values, "confidence") for values in (*confidences, *raw)]
        n_items = columns[0].size
        if any(column.size != n_items for column in columns):
            raise ValueError(f"confidences differ in length: {[c.size for c in columns]}")
        small_correct, large_correct = (as_mask(values, n_items, "correct") for values in correct)
        given = columns[2][:, None] if features is None else np.asarray(features, dtype=np.float64)
        if given.ndim != 2 or len(given) != n_items:
            raise ValueError(f"features must be ({n_items}, n_features), got {given.shape}")
        small, large, small_raw, large_raw = columns
        return cls(small, large, small_raw, large_raw, small_correct, large_correct, given)

    def select(self, items: Mask | Ints) -> PairScores:
        """Return the chosen items only."""
        return PairScores(
            self.small_confidence[items],
            self.large_confidence[items],
            self.small_raw[items],
            self.large_raw[items],
            self.small_correct[items],
            self.large_correct[items],
            self.features[items],
        )

    def with_outcomes(self, small_correct: ArrayLike, large_correct: ArrayLike) -> PairScores:
        """Return the same scores measured against other labels (Table 2)."""
        return PairScores.of(
            (self.small_confidence, self.large_confidence),
            (self.small_raw, self.large_raw),
            (small_correct, large_correct),
            self.features,
        )

    @property
    def n_items(self) -> int:
        return self.small_confidence.size


@dataclass(frozen=True, slots=True)
class Comparison:
    """Curves and APGR per router; ``accuracy`` of (small, large) on the test half.

    ``cascade`` is the calibrated one at the k that ``best`` measures: the most accurate k of the
    validation half. ``best_correct`` (n_test,): which items that one gets right. ``skipped``:
    routers that could not be fitted, with the reason. ``bands``: per router the limits of its
    curve. ``ahead``: by how much the APGR of ``CC`` exceeds another router's, on the same items.
    ``against_large``: ``best`` less the large model alone, and McNemar's p.
    """

    curves: Mapping[str, CascadeCurve]
    apgr: Mapping[str, Apgr]
    accuracy: tuple[float, float]
    cascade: Cascade
    best: PairedPoint
    best_correct: Mask
    skipped: Mapping[str, str]
    bands: Mapping[str, tuple[Floats, Floats]]
    ahead: Mapping[str, Interval]
    against_large: tuple[Interval, float]


def compare_routers(
    validation: PairScores,
    test: PairScores,
    *,
    n_bins: int = 15,
    keys: ArrayLike | Sequence[str] | None = None,
    calibrators: tuple[Calibrator | None, Calibrator | None] = (None, None),
    rng: np.random.Generator,
) -> Comparison:
    """Return ``CC``, ``UC``, ``RC``, ``MF`` and ``oracle`` on the test half (Figures 2 and 3).

    ``keys`` (n_validation,) break ties between bins. All routers sweep over the same number of
    thresholds, set on the validation half. RC is the straight line, its APGR 1/2 by definition.
    """
    calibrated = Cascade.fit(
        validation.small_confidence,
        validation.large_confidence,
        n_bins=n_bins,
        keys=keys,
        small_calibrator=calibrators[0],
        large_calibrator=calibrators[1],
    )
    raw = Cascade.fit(validation.small_raw, validation.large_raw, n_bins=n_bins, keys=keys)
    levels = {
        "CC": (calibrated.level(test.small_confidence), calibrated.n_bins),
        "UC": (raw.level(test.small_raw), raw.n_bins),
    }
    outcomes = (test.small_correct, test.large_correct)
    # First of all, so that the same seed gives the same limits where nothing else is measured.
    gaps = {"CC": measure_apgr(*_swept(levels["CC"], outcomes), rng=rng)}
    skipped: dict[str, str] = {}
    try:
        levels["MF"] = _learned_levels(validation, test, n_bins, rng)
    except Degenerate as refusal:
        skipped["MF"] = str(refusal)
    levels["oracle"] = (oracle_levels(*outcomes), N_ORACLE_LEVELS)
    curves = {name: cascade_curve(level, *outcomes, n) for name, (level, n) in levels.items()}
    gaps |= {
        name: measure_apgr(*_swept(router, outcomes), rng=rng)
        for name, router in levels.items()
        if name not in gaps
    }
    chosen = calibrated.at(
        choose_k(
            calibrated.level(validation.small_confidence),
            validation.small_correct,
            validation.large_correct,
            calibrated.n_bins,
        )
    )
    undefined = gaps["CC"].undefined
    half = Apgr(None, None, None, undefined) if undefined else Apgr(0.5, 0.5, 0.5)
    use_small = chosen.route(test.small_confidence)
    best_correct = np.where(use_small, *outcomes)
    banded = [name for name in ("CC", "UC", "MF") if name in levels]
    return Comparison(
        curves={**curves, "RC": random_curve(*outcomes, calibrated.n_bins + 1)},
        apgr={**gaps, "RC": half},
        accuracy=(float(outcomes[0].mean()), float(outcomes[1].mean())),
        cascade=chosen,
        best=measure_point(use_small, *outcomes),
        best_correct=best_correct,
        skipped=skipped,
        bands={name: curve_band(*_swept(levels[name], outcomes), rng=rng) for name in banded},
        ahead={
            name: apgr_difference(levels["CC"], levels[name], *outcomes, rng=rng)
            for name in banded[1:]
            if not undefined
        },
        against_large=(
            paired_difference(best_correct, test.large_correct),
            mcnemar_exact(best_correct, test.large_correct),
        ),
    )


def _swept(router: tuple[Ints, int], outcomes: tuple[Mask, Mask]) -> tuple[Ints, Mask, Mask, int]:
    """Return a router's levels and the outcomes in the order that measures take them."""
    return router[0], *outcomes, router[1]


def measure_calibrated(
    validation: PairScores,
    test: PairScores,
    *,
    n_bins: int = 15,
    keys: ArrayLike | Sequence[str] | None = None,
    rng: np.random.Generator,
) -> Apgr:
    """Return the APGR of ``CC`` alone, for tables over many settings; as in ``compare_routers``."""
    calibrated = Cascade.fit(
        validation.small_confidence, validation.large_confidence, n_bins=n_bins, keys=keys
    )
    return measure_apgr(
        calibrated.level(test.small_confidence),
        test.small_correct,
        test.large_correct,
        calibrated.n_bins,
        rng=rng,
    )


def _learned_levels(
    validation: PairScores, test: PairScores, n_bins: int, rng: np.random.Generator
) -> tuple[Ints, int]:
    """Return the test items' levels under a router learned from the validation half's outcomes."""
    router = MatrixFactorizationRouter.fit(
        validation.features,
        np.stack([validation.small_correct, validation.large_correct]),
        rng=rng,
    )
    return score_levels(router.predict(validation.features), router.predict(test.features), n_bins)
