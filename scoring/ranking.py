"""Balanced odds: a ranking of all items that holds its own at every depth.

docs/explanation/ranking.md says how it was found and what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import (
    NOT_SCORED,
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

DOUBT = 0.01
"""Probability granted to either side for every class the experts leave open."""

PRIOR_ITEMS = 5
"""Average items added to each class: a class of one item cannot vouch for that item."""

RANK_OFFSET = 10
"""Added to every rank before ranks are fused, so that the very first few do not decide alone."""

_BELOW = 0.25  # what the mass of the other classes no likelier than the given label weighs
_TINY = np.float32(1e-30)  # the logarithm of a probability of zero, which weighs nothing
_LEAST = 1e-9  # saturated experts say 0 where they mean very little


def balanced_odds(
    logits: Sequence[Rows | ArrayLike],
    scored: Sequence[ScoredItems],
    given_labels: ArrayLike,
    *,
    doubt: float = DOUBT,
    keys: Keys = None,
) -> Queue:
    """Queue every item by its ranks in two queues: one that finds slips, one look-alikes.

    ``logits``: per expert (n_items, n_classes), all with the same classes, streamed once;
    ``scored``: what was read from each, whose calibrated confidences are used again;
    ``given_labels`` (n_items,). With the mean of the experts' calibrated probabilities p, the
    *rival* r is the likeliest class but the given label y, and two log odds rank all items:

        slip       = ln p[r] - ln(p[y] + below / 4) + ln(trust[y]) / 2
        look-alike = ln(joint + doubt * open) - ln(p[y] + doubt * open)

    *below* = the mass of the other classes no likelier than y: where hundreds of classes share
    some mass, little on y alone is not absurd. *trust* is the mean of p[y] over all items given y,
    as in Confident Learning's thresholds: a label of a class that experts never believe in is no
    news. *joint* is the geometric mean over experts of the rival's probability, so a rival that
    one expert rejects counts little; *open* = exp(entropy of p), 1 to n_classes, is the number of
    classes left open: the floor makes it compare differences where belief is spread, as a margin.

    The score is the sum of 1 / (10 + rank) over both, ranks from 0 (reciprocal rank fusion,
    Cormack et al., 2009), so what either queue puts first comes early.

    Assumes calibrated probabilities of items the experts were not trained on. The proposed label is
    the rival where the mean prefers it, else the given label. The constants were chosen on public
    data sets, never on the set that is ranked. This ranking is ours, not the paper's; it stands
    beside the ones of Section 2.3.
    """
    if not (np.isfinite(doubt) and doubt > 0):
        raise ValueError(f"doubt must be finite and positive, got {doubt}")
    readers = [as_rows(rows) for rows in logits]
    if not readers or len(readers) != len(scored):
        raise ValueError(f"{len(readers)} logits do not fit {len(scored)} sets of scored items")
    if len({tuple(rows.shape) for rows in readers}) != 1:
        raise ValueError(f"experts differ in shape: {[tuple(rows.shape) for rows in readers]}")
    n_items, n_classes = readers[0].shape
    labels = np.asarray(given_labels)
    valid = np.logical_and.reduce([items.valid for items in scored])
    if labels.shape == valid.shape:
        valid &= labels != NOT_SCORED
    given = as_labels(labels, n_items, n_classes, valid)
    log_trust = np.log(_class_trust(scored, given, valid, n_classes))

    slip, look_alike = np.full((2, n_items), np.nan)
    proposed = np.full(n_items, NOT_SCORED, dtype=np.int64)
    parts = [scratch_like(rows, 1)[0] for rows in readers]
    mean, scratch = scratch_like(readers[0], 2)
    for together in zip(*(row_chunks(rows, where=valid) for rows in readers), strict=True):
        index, first = together[0]
        chances = [
            _probabilities(chunk, items, index, part[: len(chunk)])
            for (_, chunk), items, part in zip(together, scored, parts, strict=True)
        ]
        here = slice(len(first))
        slip[index], look_alike[index], proposed[index] = _score_chunk(
            chances, given[index], doubt, mean[here], scratch[here]
        )
        slip[index] += log_trust[given[index]] / 2.0
    positions = np.flatnonzero(valid)
    fused = np.zeros(n_items)
    for score in (slip, look_alike):
        order = rank_items(positions, score[positions], proposed[positions], keys=keys).positions
        fused[order] += 1.0 / (RANK_OFFSET + np.arange(order.size))
    return rank_items(positions, fused[positions], proposed[positions], keys=keys)


def _class_trust(scored: Sequence[ScoredItems], given: Ints, valid: Mask, n_classes: int) -> Floats:
    """Return the mean probability of the given label over the items of each class (n_classes,)."""
    if not valid.any():
        return np.ones(n_classes)
    on_given = np.mean([items.given_probability[valid] for items in scored], axis=0)
    total = np.bincount(given[valid], weights=on_given, minlength=n_classes)
    count = np.bincount(given[valid], minlength=n_classes)
    trust = (total + PRIOR_ITEMS * on_given.mean()) / (count + PRIOR_ITEMS)
    above_zero: Floats = np.maximum(trust, _LEAST)
    return above_zero


def _score_chunk(
    chances: Sequence[Chunk],
    given: Ints,
    doubt: float,
    mean: Chunk,
    scratch: Chunk,
) -> tuple[Floats, Floats, Ints]:
    """Return both odds and the proposed label of each row; overwrites ``mean``, ``scratch``."""
    mean[...] = 0.0
    for part in chances:
        mean += part
    mean /= len(chances)
    np.maximum(mean, _TINY, out=scratch)
    np.log(scratch, out=scratch)
    still_open = doubt * np.exp(-np.vecdot(mean, scratch).astype(np.float64))

    item = np.arange(len(mean))
    np.less_equal(mean, mean[item, given, None], out=scratch)
    tail = np.vecdot(mean, scratch).astype(np.float64)
    on_given = mean[item, given].astype(np.float64)
    mean[item, given] = -1.0
    rival = mean.argmax(axis=1)
    on_rival = mean[item, rival].astype(np.float64)
    each = np.stack([part[item, rival] for part in chances]).astype(np.float64)
    joint = np.prod(each ** (1.0 / len(chances)), axis=0)
    slip = np.log(on_rival + _LEAST) - np.log(on_given + _BELOW * (tail - on_given) + _LEAST)
    look_alike = np.log(joint + still_open) - np.log(on_given + still_open)
    return slip, look_alike, np.where(on_rival > on_given, rival, given)


def _probabilities(
    chunk: Chunk,
    items: ScoredItems,
    index: slice | Ints,
    out: Chunk,
) -> NDArray[np.floating]:
    """Return calibrated probabilities in ``out``: the known confidence for the top class.

    The other classes share the rest in proportion to exp(logit / temperature).
    """
    every = np.arange(len(chunk))
    top, confidence = items.top1[index], items.confidence[index]
    np.subtract(chunk, chunk[every, top, None], out=out)
    out *= (1.0 / items.temperature[index]).astype(out.dtype)[:, None]
    np.exp(out, out=out)
    out[every, top] = 0.0
    mass = out.sum(axis=1, dtype=np.float64)
    # Where the others' mass is zero there is nothing to share: they keep their zeros.
    share = np.divide(1.0 - confidence, mass, out=np.zeros(len(chunk)), where=mass > 0)
    out *= share.astype(out.dtype)[:, None]
    out[every, top] = confidence
    return out
