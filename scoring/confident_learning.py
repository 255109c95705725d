"""Confident Learning, the paper's baseline: which class each item confidently belongs to instead.

Northcutt, Jiang and Chuang (2021); Section 3.5 calls it Method 2. Two rules exist for an item that
passes the thresholds of several classes: ``candidates`` takes the likeliest of those classes,
``cleanlab`` (that library's behaviour) the likeliest of all classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import (
    Chunk,
    Floats,
    Ints,
    Mask,
    Rows,
    as_labels,
    as_rows,
    row_chunks,
    scratch_like,
)
from scoring.cleaning import Keys, Queue, rank_items
from scoring.confidence import ScoredItems
from scoring.likely_suggestions import likely_suggestions
from scoring.readings import LIKELY
from scoring.suggestions import COLLISIONS, LARGEST_SLACK, Collision, Suggestions, relaxed

NO_CLASS = -1
LEAST_THRESHOLD = 2e-6
"""No threshold is lower (as in cleanlab): else a class that the experts never give would be reached
by every item, and suggested for those that reach no other."""


def confident_thresholds(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Return t (n_classes,): the mean probability of class j over the items given label j.

    ``probabilities`` (n_items, n_classes); ``labels`` (n_items,) class indices. A class without
    items has no threshold: infinity, which nothing reaches. None is below ``LEAST_THRESHOLD``.
    """
    rows = np.asarray(probabilities)
    given = as_labels(labels, *_shape(rows))
    return _thresholds(rows[np.arange(len(given)), given], given, rows.shape[1])


def confident_learning(
    probabilities: ArrayLike,
    labels: ArrayLike,
    collision: Collision = "candidates",
) -> Mask:
    """Return the items that confidently belong to another class than the given, (n_items,).

    ``probabilities`` (n_items, n_classes), out of sample; ``labels`` (n_items,). The candidates of
    an item are the classes whose probability reaches their threshold; without a candidate it is
    not flagged. Rows with NaN are not scored: they count nowhere and are never flagged.
    """
    _check_collision(collision)
    rows = np.asarray(probabilities)
    given = np.asarray(labels)
    n_items, n_classes = _shape(rows)
    scored = ~np.isnan(rows).any(axis=1)
    given = as_labels(given, n_items, n_classes, scored)
    flagged = np.zeros(n_items, dtype=np.bool_)
    kept, kept_labels = rows[scored], given[scored]
    if len(kept):
        thresholds = confident_thresholds(kept, kept_labels)
        suggested = _suggest(kept, thresholds, (collision,))[0]
        flagged[scored] = (suggested != NO_CLASS) & (suggested != kept_labels)
    return flagged


def confident_learning_queues(
    logits: Sequence[Rows | ArrayLike],
    scored: Sequence[ScoredItems],
    given_labels: ArrayLike,
    *,
    collisions: Sequence[Collision] = COLLISIONS,
    keys: Keys = None,
) -> dict[Collision, Queue]:
    """Queue the items Confident Learning flags on the mean of the experts' probabilities.

    ``logits``: per expert (n_items, n_classes), all with the same classes, streamed once or, where
    every threshold allows it, looked up for the likely classes alone with the same result;
    ``scored``: what ``score_items`` read from each, whose temperatures are used again and whose
    given-label probabilities are the thresholds already. One queue per collision rule, ranked by
    p[suggested class] - p[given label]; the suggested class is the proposed label.
    """
    for collision in collisions:
        _check_collision(collision)
    readers = [as_rows(rows) for rows in logits]
    if not readers or len(readers) != len(scored):
        raise ValueError(f"{len(readers)} logits do not fit {len(scored)} sets of scored items")
    if len({tuple(rows.shape) for rows in readers}) != 1:
        raise ValueError(f"experts differ in shape: {[tuple(rows.shape) for rows in readers]}")
    n_items, n_classes = readers[0].shape
    valid = np.logical_and.reduce([items.valid for items in scored])
    given = as_labels(given_labels, n_items, n_classes, valid)
    on_given = scored[0].given_probability.copy()
    for items in scored[1:]:
        on_given += items.given_probability
    on_given /= len(scored)
    counted = slice(None) if valid.all() else valid
    thresholds = _thresholds(on_given[counted], given[counted], n_classes)

    if thresholds.min() - 2 * LARGEST_SLACK >= LIKELY and all(
        items.likely is not None for items in scored
    ):
        blocks = likely_suggestions(readers, scored, valid, on_given, thresholds, collisions)
    else:
        blocks = _suggest_streaming(readers, scored, valid, thresholds, collisions)
    flagged: dict[Collision, list[Suggestions]] = {collision: [] for collision in collisions}
    for collision, found in blocks:
        flagged[collision].append(found.take(found.classes != given[found.items]))
    return {
        collision: _rank(Suggestions.join(found), on_given, keys)
        for collision, found in flagged.items()
    }


def _rank(flagged: Suggestions, on_given: Floats, keys: Keys) -> Queue:
    margin = flagged.chances - on_given[flagged.items]
    return rank_items(flagged.items, margin, flagged.classes, keys=keys)


def _suggest_streaming(
    readers: Sequence[Rows],
    scored: Sequence[ScoredItems],
    valid: Mask,
    thresholds: Floats,
    collisions: Sequence[Collision],
) -> Iterator[tuple[Collision, Suggestions]]:
    """Yield the suggestions for the ``valid`` items by looking at every probability."""
    for index, probabilities in _mean_probabilities(readers, scored, valid):
        items = np.arange(index.start, index.stop) if isinstance(index, slice) else index
        classes = _suggest(probabilities, thresholds, collisions)
        for collision, suggested in zip(collisions, classes, strict=True):
            rows = np.flatnonzero(suggested != NO_CLASS)
            chosen = suggested[rows]
            yield collision, Suggestions(items[rows], chosen, probabilities[rows, chosen])


def _mean_probabilities(
    readers: Sequence[Rows],
    scored: Sequence[ScoredItems],
    valid: Mask,
) -> Iterator[tuple[slice | Ints, Chunk]]:
    """Yield (index, probabilities): chunks of the mean of the experts' calibrated probabilities."""
    (mean,) = scratch_like(readers[0], 1)
    parts = [scratch_like(rows, 1)[0] for rows in readers]
    chunks = [row_chunks(rows, where=valid) for rows in readers]
    for together in zip(*chunks, strict=True):
        index = together[0][0]
        total = mean[: len(together[0][1])]
        total[...] = 0.0
        for (_, chunk), items, part in zip(together, scored, parts, strict=True):
            total += _probabilities(chunk, items, index, part[: len(chunk)])
        total /= len(readers)
        yield index, total


def _probabilities(chunk: Chunk, items: ScoredItems, index: slice | Ints, out: Chunk) -> Chunk:
    """Return the calibrated probabilities in ``out``, from the known top class and confidence."""
    every, top1 = np.arange(len(chunk)), items.top1[index]
    np.subtract(chunk, chunk[every, top1, None], out=out)
    out *= (1.0 / items.temperature[index]).astype(out.dtype)[:, None]
    np.exp(out, out=out)
    out *= items.others_scale[index].astype(out.dtype)[:, None]
    out[every, top1] = items.confidence[index]
    return out


def _thresholds(on_given: NDArray[Any], given: Ints, n_classes: int) -> Floats:
    """Return each class's mean of ``on_given`` (n_items,), infinity for a class without items."""
    counts = np.bincount(given, minlength=n_classes)
    sums = np.bincount(given, on_given.astype(np.float64, copy=False), minlength=n_classes)
    means = np.maximum(sums / np.maximum(counts, 1), LEAST_THRESHOLD)
    return np.where(counts > 0, means, np.inf)


def _suggest(
    probabilities: NDArray[Any],
    thresholds: Floats,
    collisions: Sequence[Collision],
) -> Ints:
    """Return the class each item confidently belongs to, (n_collisions, n_items), -1 for none."""
    return np.stack(
        [
            _suggest_one(
                probabilities,
                relaxed(thresholds, collision, probabilities.dtype),
                over_all_classes=collision == "cleanlab",
            )
            for collision in collisions
        ]
    )


def _suggest_one(
    probabilities: NDArray[Any],
    thresholds: Chunk,
    *,
    over_all_classes: bool,
) -> Ints:
    """Return the confident class of each row, shape (n_rows,).

    Few classes of a row pass, so the comparison is the only look at the whole matrix.
    """
    passing = probabilities >= thresholds
    rows, classes = np.divmod(np.flatnonzero(passing), probabilities.shape[1])
    # Rising probability and falling class: the last entry of a row is its likeliest, lowest class.
    order = np.lexsort((-classes, probabilities[rows, classes], rows))
    suggested = np.full(len(probabilities), NO_CLASS, dtype=np.int64)
    suggested[rows[order]] = classes[order]
    if over_all_classes:
        several = np.flatnonzero(np.bincount(rows, minlength=len(probabilities)) > 1)
        suggested[several] = probabilities[several].argmax(axis=1)
    return suggested


def _shape(rows: NDArray[Any]) -> tuple[int, int]:
    if rows.ndim != 2 or rows.shape[1] < 2 or rows.dtype.kind != "f":
        raise ValueError(
            f"probabilities must be real (n_items, n_classes >= 2), "
            f"got {rows.dtype} of shape {rows.shape}",
        )
    return rows.shape[0], rows.shape[1]


def _check_collision(collision: str) -> None:
    if collision not in COLLISIONS:
        raise ValueError(f"collision must be one of {COLLISIONS}, got {collision!r}")
