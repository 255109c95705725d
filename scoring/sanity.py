"""Signs that the inputs are not what they are taken for; each is a reason in words, or None."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import NOT_SCORED, Floats, Rows, as_labels, as_rows

CHANCE_FACTOR = 5.0
"""An expert worth asking agrees with the labels at least this many times as often as chance."""

SMALL_K_SHARE = 0.1
"""With few classes that is too much to ask: this share of the way from chance to 1 will do."""

_LEAST_ITEMS = 3
_SAMPLE_ROWS = 1000
_TOLERANCE = 1e-3


def expert_failure(raw_confidence: ArrayLike, n_classes: int) -> str | None:
    """Return why an expert's scores say nothing at all, or None.

    ``raw_confidence`` (n_items,): the top class's probability, NaN where the item has no score.
    ``expert_failed``: no item has one. ``no_signal``: every item has the same score for each of
    the ``n_classes`` classes, so the top class is the first one whatever the item shows.
    """
    confidence = np.asarray(raw_confidence, dtype=np.float64)
    scored = confidence[~np.isnan(confidence)]
    if scored.size == 0:
        return f"expert_failed: none of {confidence.size:,} items has a score that can be used"
    if scored.max() <= (1.0 + _TOLERANCE) / n_classes:
        return f"no_signal: all {n_classes:,} classes have the same score in every item"
    return None


def label_map_suspect(
    top1s: Sequence[ArrayLike] | ArrayLike, given_labels: ArrayLike, n_classes: int
) -> str | None:
    """Return why the labels seem to be numbered otherwise than the experts' classes, or None.

    ``top1s`` (n_experts, n_items): top classes, -1 where not scored; ``given_labels`` (n_items,),
    -1 where unknown. Suspicious is that every expert agrees with the labels in a smaller share of
    its items than ``least_agreement(n_classes)``, or that all experts dispute every item. One
    expert that agrees clears the labels: then the others are bad. Of fewer than three items nothing
    is said: there it would be chance.
    """
    tops = np.atleast_2d(np.asarray(top1s, dtype=np.int64))
    given = np.asarray(given_labels, dtype=np.int64)
    if tops.ndim != 2 or given.shape != tops.shape[1:]:
        raise ValueError(f"top classes {tops.shape} do not fit given labels {given.shape}")
    as_labels(given, given.size, n_classes, given != NOT_SCORED)
    scored = (tops != NOT_SCORED) & (given != NOT_SCORED)
    if scored.any(axis=0).sum() < _LEAST_ITEMS:
        return None
    agreed = ((tops == given) & scored).sum(axis=1)
    together = scored.all(axis=0)
    if together.any() and not (tops == given)[:, together].any():
        return f"label_map_suspect: every expert disputes all {int(together.sum())} labels"
    counts = scored.sum(axis=1)
    shares = agreed[counts > 0] / counts[counts > 0]
    least = least_agreement(n_classes)
    if (shares < least).all():
        return (
            f"label_map_suspect: the experts agree with {shares.max():.1%} of the labels at most, "
            f"chance gives {1 / n_classes:.1%} and {least:.1%} were to be expected at least"
        )
    return None


def least_agreement(n_classes: int) -> float:
    """Return the share of labels an expert has to agree with, for K = ``n_classes``.

    min(5 / K, 1 / K + (1 - 1 / K) / 10): five times chance from 41 classes on; 55 % of two
    classes and 32.5 % of four, which a weak but honest expert of four-option questions still has.
    """
    if n_classes < 2:
        raise ValueError(f"there are at least two classes, got {n_classes}")
    chance = 1.0 / n_classes
    return min(CHANCE_FACTOR * chance, chance + (1.0 - chance) * SMALL_K_SHARE)


def find_score_kind(logits: Rows | ArrayLike) -> str | None:
    """Return ``probabilities`` or ``log_probabilities`` if that is what ``logits`` are, or None.

    Looks at up to 1,000 rows spread over ``logits`` (n_items, n_classes), at those that are
    finite. Probabilities are never negative and add up to 1 within a thousandth in every row;
    log probabilities are never positive and their exponentials do. Logits that are log
    probabilities lose nothing; probabilities taken for logits leave no confidence.
    """
    rows = as_rows(logits)
    n_items = rows.shape[0]
    size = min(n_items, 10)
    starts = np.unique(np.linspace(0, n_items - size, _SAMPLE_ROWS // 10).astype(np.int64))
    blocks = [np.asarray(rows[start : start + size], np.float64) for start in starts.tolist()]
    sample = np.concatenate(blocks)
    sample = sample[np.isfinite(sample).all(axis=1)]
    if len(sample) == 0:
        return None
    if (sample >= 0).all() and _adds_up_to_one(sample):
        return "probabilities"
    if (sample <= _TOLERANCE).all() and _adds_up_to_one(np.exp(sample)):
        return "log_probabilities"
    return None


def _adds_up_to_one(rows: Floats) -> bool:
    return bool((np.abs(rows.sum(axis=1) - 1.0) <= _TOLERANCE).all())
