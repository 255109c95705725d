"""What one expert says about every item, read from its logits in a single streaming pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import NOT_SCORED, Floats, Mask, Rows, as_labels, as_rows, valid_rows
from scoring.readings import LikelyClasses, Readings, read_items

PROBABILITY_FLOOR = float(np.finfo(np.float64).eps)
"""No log likelihood looks below: a bin of accuracy 0 or 1 would cost an infinite NLL else."""

_LEAST_MASS = 1e-30  # what is shared by a smaller mass would leave the range of float32


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """One expert's view of every item; all arrays have shape (n_items,).

    ``top1``: class with the largest logit, the lowest index on ties, -1 where not scored.
    ``confidence``: calibrated probability of ``top1``; ``given_probability``: of the given label;
    ``raw_confidence``: the first at temperature 1. ``temperature``: the one used.
    ``others_scale``: the probability of any class j but ``top1`` is this times
    exp((z_j - z_top1) / temperature). ``likely``: the probable classes, None where not listed.
    Everything but ``top1`` and ``temperature`` is NaN where not scored.
    """

    top1: NDArray[np.int32]
    confidence: Floats
    given_probability: Floats
    raw_confidence: Floats
    temperature: Floats
    others_scale: Floats
    likely: LikelyClasses | None = None

    @property
    def valid(self) -> Mask:
        """Which items this expert scored."""
        scored: Mask = self.top1 != NOT_SCORED
        return scored


def score_items(
    logits: Rows | ArrayLike,
    labels: ArrayLike,
    temperature: float | ArrayLike,
    *,
    valid: ArrayLike | None = None,
) -> ScoredItems:
    """Return each item's top class, its confidence and the given label's probability.

    ``logits`` (n_items, n_classes) is streamed; ``labels`` (n_items,) are the given classes;
    ``temperature`` is one number or one per item, which is how cross-fitting scores every item
    with the calibrator fitted on the other half (Section 2.1). Rows outside ``valid``, by default
    those with NaN or infinity, come back as not scored.
    """
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    mask = valid_rows(rows, valid)
    given = as_labels(labels, n_items, n_classes, mask)
    return scored_at(read_items(rows, given, mask, [temperature, 1.0]), 0, raw=1)


def scored_at(readings: Readings, number: int, *, raw: int) -> ScoredItems:
    """Return the items scored at the temperature of that number; ``raw``: the number of 1."""
    confidence = readings.confidence(number)
    return ScoredItems(
        top1=readings.top1,
        confidence=confidence,
        given_probability=readings.given_probability(number),
        raw_confidence=confidence if raw == number else readings.confidence(raw),
        temperature=readings.temperatures[number],
        others_scale=confidence,
        likely=readings.likely if number == 0 else None,
    )


def scored_by_confidence(readings: Readings, confidence: Floats) -> ScoredItems:
    """Return the items with ``confidence`` (n_items,) in place of the top class's probability.

    ``readings`` are at temperature 1. All other classes share 1 - confidence in proportion to
    their raw probabilities, so their order stays; a class other than the top one may come out as
    the most probable. Where the top class holds all raw mass, the rest has none to go by and gets
    none.
    """
    mass = readings.other_masses[0].astype(np.float64)
    shared = mass >= _LEAST_MASS
    scale = np.where(np.isnan(mass), np.nan, 0.0)
    scale[shared] = (1.0 - confidence[shared]) / mass[shared]
    # The mass was summed in float32: a class that holds all of it may exceed it by a last digit.
    share = np.minimum(scale * np.exp(readings.to_given), 1.0 - confidence)
    return ScoredItems(
        top1=readings.top1,
        confidence=confidence,
        given_probability=np.where(readings.agrees, confidence, share),
        raw_confidence=readings.confidence(0),
        temperature=readings.temperatures[0],
        others_scale=scale,
    )
