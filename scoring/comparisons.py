"""What people need beside an item to judge it: candidate classes, clean exemplars, look-alikes.

Arrays in, arrays out. Classes are indices, items are positions; -1 fills up where there are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask
from scoring.binning import equal_count_bins

N_CANDIDATES = 6
N_EXEMPLARS = 12


def candidate_classes(
    given_labels: ArrayLike,
    top1s: ArrayLike,
    logits: Sequence[ArrayLike] = (),
    n_candidates: int = N_CANDIDATES,
) -> Ints:
    """Return the classes to choose from, shape (n_items, n_candidates), without repetition.

    First the given label (n_items,), then each expert's top-1 (n_experts, n_items; -1 = no
    score), then the best remaining of any expert: by its best rank in ``logits`` (one array
    (n_items, n_classes) per expert, NaN rows = no score), between equal ranks by the larger
    softmax probability, then the lower index. Classes that share a row's minimum are left out:
    where only the top k of a model are known, that is all others.
    """
    given = np.asarray(given_labels, dtype=np.int64)
    tops = np.asarray(top1s, dtype=np.int64).reshape(-1, given.size)
    ranked = [_best_classes(np.asarray(rows, dtype=np.float64), n_candidates) for rows in logits]
    candidates = np.full((given.size, n_candidates), -1, dtype=np.int64)
    for item in range(given.size):
        rest = sorted(
            (rank, -shares[item, rank], int(classes[item, rank]))
            for classes, shares in ranked
            for rank in range(classes.shape[1])
            if classes[item, rank] >= 0
        )
        wanted = [int(given[item]), *tops[:, item].tolist(), *(one for _, _, one in rest)]
        chosen = [one for one in dict.fromkeys(wanted) if one >= 0][:n_candidates]
        candidates[item, : len(chosen)] = chosen
    return candidates


def _best_classes(rows: Floats, n_best: int) -> tuple[Ints, Floats]:
    """Return each row's best classes and their softmax probabilities, (n_items, n_best)."""
    n_best = min(n_best, rows.shape[1])
    scored = np.asarray(np.isfinite(rows).all(axis=1))
    safe = np.where(scored[:, None], rows, 0.0)
    order = np.argsort(-safe, axis=1, kind="stable")[:, :n_best]
    best = np.take_along_axis(safe, order, axis=1)
    shares = np.exp(best - best[:, :1])
    shares /= np.exp(safe - best[:, :1]).sum(axis=1, keepdims=True)
    lowest = safe.min(axis=1, keepdims=True)
    is_tail = (best == lowest) & ((safe == lowest).sum(axis=1, keepdims=True) > 1)
    known = scored[:, None] & ~is_tail
    return np.where(known, order, -1), shares


def clean_exemplars(
    given_labels: ArrayLike,
    top1s: ArrayLike,
    confidences: ArrayLike,
    allowed: Mask,
    n_classes: int,
    *,
    n_bins: int = 15,
    n_exemplars: int = N_EXEMPLARS,
) -> Ints:
    """Return items that show each class beyond doubt, (n_classes, n_exemplars), clearest first.

    An exemplar of a class is labelled with it, every expert's top-1 (n_experts, n_items) is that
    class, and each expert's confidence in it lies in the upper third (rounded up) of ``n_bins``
    equal-count bins. ``allowed`` (n_items,) leaves out what is flagged, unusable or to be judged.
    Clearest: the largest of the experts' smallest confidence, then the lower position.
    """
    given = np.asarray(given_labels, dtype=np.int64)
    tops = np.asarray(top1s, dtype=np.int64).reshape(-1, given.size)
    confidence = np.asarray(confidences, dtype=np.float64).reshape(tops.shape)
    clear: Mask = allowed & (tops == given).all(axis=0)
    for expert in confidence:
        scored: Mask = np.isfinite(expert)
        bins = equal_count_bins(expert[scored], n_bins)
        n_used = int(bins.max(initial=-1)) + 1
        clear[scored] &= bins >= n_used - -(-n_used // 3)
        clear &= scored
    places = np.flatnonzero(clear)
    smallest = confidence[:, places].min(axis=0) if places.size else np.zeros(0)
    places = places[np.lexsort((places, -smallest, given[places]))]
    exemplars = np.full((n_classes, n_exemplars), -1, dtype=np.int64)
    first = np.searchsorted(given[places], np.arange(n_classes))
    number = np.arange(places.size) - first[given[places]]
    kept = number < n_exemplars
    exemplars[given[places][kept], number[kept]] = places[kept]
    return exemplars


def confusable_pairs(
    given_labels: ArrayLike,
    top1s: ArrayLike,
    n_classes: int,
    *,
    least_items: int = 2,
    least_share: float = 0.02,
) -> Ints:
    """Return pairs of classes that experts take for one another, shape (n_pairs, 2), lower first.

    Counted over experts and items: top-1 the one where the label is the other, either way round,
    at least ``least_items`` times and in at least ``least_share`` of all top-1s of items with
    either label.
    """
    given = np.asarray(given_labels, dtype=np.int64)
    tops = np.asarray(top1s, dtype=np.int64).reshape(-1, given.size)
    labels = np.broadcast_to(given, tops.shape)
    n_scored = np.bincount(labels[tops >= 0], minlength=n_classes)
    confused = (tops >= 0) & (tops != labels)
    low = np.minimum(labels, tops)[confused]
    high = np.maximum(labels, tops)[confused]
    codes, counts = np.unique(low * n_classes + high, return_counts=True)
    pairs = np.stack([codes // n_classes, codes % n_classes], axis=1)
    often = counts >= np.maximum(least_items, least_share * n_scored[pairs].sum(axis=1))
    common: Ints = pairs[often]
    return common
