"""Confident Learning, the paper's baseline: which class each item confidently belongs to instead.

Northcutt, Jiang and Chuang (2021); Section 3.5 calls it Method 2. Two rules exist for an item that
passes the thresholds of several classes: ``candidates`` takes the likeliest of those classes,
``cleanlab`` (that library's behaviour) the likeliest of all classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

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
    stored_chunks,
    working_type,
)
from scoring.cleaning import Keys, Queue, rank_items
from scoring.confidence import LIKELY, ScoredItems

Collision: TypeAlias = Literal["candidates", "cleanlab"]
COLLISIONS: tuple[Collision, ...] = ("candidates", "cleanlab")

NO_CLASS = -1
_CLEANLAB_SLACK = 1e-6  # cleanlab.count.compute_confident_joint subtracts it from each threshold
_ROUNDING = {4: 1e-6, 8: 1e-9}  # a mean of equal numbers may exceed them by some last digits


def confident_thresholds(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Return t (n_classes,): the mean probability of class j over the items given label j.

    ``probabilities`` (n_items, n_classes); ``labels`` (n_items,) class indices. A class without
    items has no threshold: infinity, which nothing reaches.
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
    on_given = np.mean([items.given_probability for items in scored], axis=0)
    thresholds = _thresholds(on_given[valid], given[valid], n_classes)

    slack = max(_CLEANLAB_SLACK, _ROUNDING[4])
    if thresholds.min() - slack >= LIKELY and all(items.likely is not None for items in scored):
        # Another class has at most the mass that the given label leaves over.
        open_items = valid & (1.0 - on_given >= thresholds.min() - slack)
        suggestions = _suggest_likely(readers, scored, open_items, thresholds, collisions)
    else:
        suggestions = _suggest_streaming(readers, scored, valid, thresholds, collisions)
    return {
        collision: rank_items(
            (chosen != NO_CLASS) & (chosen != given), at_class - on_given, chosen, keys=keys
        )
        for collision, (chosen, at_class) in suggestions.items()
    }


Suggestions: TypeAlias = dict[Collision, tuple[Ints, Floats]]
"""Per rule the class each item confidently belongs to, -1 for none, and its probability."""


def _suggest_streaming(
    readers: Sequence[Rows],
    scored: Sequence[ScoredItems],
    valid: Mask,
    thresholds: Floats,
    collisions: Sequence[Collision],
) -> Suggestions:
    """Return the suggestions for the ``valid`` items by looking at every probability."""
    n_items = valid.size
    suggested = np.full((len(collisions), n_items), NO_CLASS, dtype=np.int64)
    at_class = np.full((len(collisions), n_items), np.nan)
    for index, probabilities in _mean_probabilities(readers, scored, valid):
        classes = _suggest(probabilities, thresholds, collisions)
        suggested[:, index] = classes
        at_class[:, index] = probabilities[np.arange(len(probabilities)), np.maximum(classes, 0)]
    return dict(zip(collisions, zip(suggested, at_class, strict=True), strict=True))


def _suggest_likely(
    readers: Sequence[Rows],
    scored: Sequence[ScoredItems],
    open_items: Mask,
    thresholds: Floats,
    collisions: Sequence[Collision],
) -> Suggestions:
    """Return the same for the ``open_items`` from the classes some expert finds likely.

    A mean over experts that reaches a threshold of at least ``LIKELY`` is reached by one of them,
    so no candidate is missing, nor is the most probable class where there is a candidate.
    """
    n_items, n_classes = readers[0].shape
    kind = np.result_type(*(working_type(rows) for rows in readers))
    listed = [_listed(each, open_items, n_classes, kind) for each in scored]
    pairs = np.sort(np.concatenate([places for places, _ in listed]))
    # numpy.unique hashes, which takes several times as long.
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    known = np.full((len(readers), pairs.size), np.nan, dtype=kind)
    for row, (places, chances) in zip(known, listed, strict=True):
        row[np.searchsorted(pairs, places)] = chances
    # What an expert has not listed is below LIKELY: most pairs are out without another look.
    least = (thresholds.min() - 2 * _CLEANLAB_SLACK) * len(readers)
    kept = np.where(np.isnan(known), LIKELY, known).sum(axis=0) >= least
    pairs, known = pairs[kept], known[:, kept]
    items, classes = np.divmod(pairs, n_classes)
    for rows, each, row in zip(readers, scored, known, strict=True):
        gaps = np.flatnonzero(np.isnan(row))
        row[gaps] = _probabilities_of(rows, each, items[gaps], classes[gaps])
    mean = known.sum(axis=0) / kind.type(len(readers))
    result: Suggestions = {}
    for collision in collisions:
        passing = mean >= _relaxed(thresholds, collision, kind)[classes]
        if collision == "cleanlab":
            passing |= _several(items, passing, n_items)
        # Rising probability and falling class: an item's last pair is its likeliest, lowest class.
        kept = np.flatnonzero(passing)
        kept = kept[np.lexsort((-classes[kept], mean[kept], items[kept]))]
        suggested = np.full(n_items, NO_CLASS, dtype=np.int64)
        at_class = np.full(n_items, np.nan)
        suggested[items[kept]], at_class[items[kept]] = classes[kept], mean[kept]
        result[collision] = suggested, at_class
    return result


def _listed(
    scored: ScoredItems, open_items: Mask, n_classes: int, kind: np.dtype[Any]
) -> tuple[Ints, Chunk]:
    """Return the top and the likely classes of the open items, and their probabilities.

    Both are (n_pairs,); a pair is item * n_classes + class.
    """
    if scored.likely is None:
        raise ValueError("the likely classes of these items have not been listed")
    top = np.flatnonzero(open_items)
    some = np.flatnonzero(open_items[scored.likely.items])
    items, classes = scored.likely.items[some].astype(np.int64), scored.likely.classes[some]
    chances = np.concatenate(
        [scored.confidence[top], _chances(scored, items, scored.likely.distances[some])],
        dtype=kind,
        casting="same_kind",
    )
    return np.concatenate(
        [top * n_classes + scored.top1[top], items * n_classes + classes]
    ), chances


def _chances(scored: ScoredItems, items: Ints, distances: Chunk) -> Chunk:
    """Return the probability of classes so far from the top one's logit, (n_pairs,)."""
    inverse = (1.0 / scored.temperature[items]).astype(distances.dtype)
    chances: Chunk = np.exp(distances * inverse)
    chances *= scored.others_scale[items].astype(distances.dtype)
    return chances


def _several(items: Ints, passing: Mask, n_items: int) -> Mask:
    """Return the pairs of those items that pass the thresholds of more than one class."""
    many: Mask = np.bincount(items[passing], minlength=n_items)[items] > 1
    return many


def _probabilities_of(rows: Rows, scored: ScoredItems, items: Ints, classes: Ints) -> Chunk:
    """Return the calibrated probability of each pair of item (rising) and class, (n_pairs,)."""
    logits = np.empty((2, items.size), dtype=working_type(rows))
    first, begin = 0, 0
    for _, chunk in stored_chunks(rows):
        end = begin + len(chunk)
        last = first + int(np.searchsorted(items[first:], end))
        if last == first:
            begin = end
            continue
        inside = items[first:last]
        logits[0, first:last] = chunk[inside - begin, classes[first:last]]
        logits[1, first:last] = chunk[inside - begin, scored.top1[inside]]
        first, begin = last, end
    probabilities = _chances(scored, items, logits[0] - logits[1])
    on_top = classes == scored.top1[items]
    probabilities[on_top] = scored.confidence[items[on_top]]
    return probabilities


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
    sums = np.bincount(given, on_given.astype(np.float64), minlength=n_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


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
                _relaxed(thresholds, collision, probabilities.dtype),
                over_all_classes=collision == "cleanlab",
            )
            for collision in collisions
        ]
    )


def _relaxed(thresholds: Floats, collision: Collision, kind: np.dtype[Any]) -> Chunk:
    """Return the thresholds less the slack that a rule grants, in the probabilities' type."""
    rounding = _ROUNDING[8 if kind.itemsize > 4 else 4]
    slack = _CLEANLAB_SLACK if collision == "cleanlab" else rounding
    return (thresholds - slack).astype(kind)


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
