"""Smoothed odds: a ranking of all items that holds its own at every depth (docs/ranking.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import (
    NOT_SCORED,
    Chunk,
    Floats,
    Ints,
    Rows,
    as_labels,
    as_rows,
    row_chunks,
    scratch_like,
)
from scoring.cleaning import Keys, Queue, rank_items
from scoring.confidence import ScoredItems

DOUBT = 0.003
"""Probability granted to either side for every class the experts leave open."""

_TINY = np.float32(1e-30)  # the logarithm of a probability of zero, which weighs nothing


def smoothed_odds(
    logits: Sequence[Rows | ArrayLike],
    scored: Sequence[ScoredItems],
    given_labels: ArrayLike,
    *,
    doubt: float = DOUBT,
    keys: Keys = None,
) -> Queue:
    """Queue every item by the smoothed log odds that another class than the given is right.

    ``logits``: per expert (n_items, n_classes), all with the same classes, streamed once;
    ``scored``: what was read from each, whose calibrated confidences are used again;
    ``given_labels`` (n_items,). With the mean of the experts' calibrated probabilities p, the
    *rival* is the likeliest class but the given label y, and the score, in nats, is

        ln(joint + doubt * open) - ln(p[y] + doubt * open)

    where *joint* is the geometric mean over experts of the rival's probability, so a rival that
    one expert rejects counts little, and *open* = exp(entropy of p), 1 to n_classes, is the number
    of classes left open. It is the log odds where the experts are sure and compares differences,
    like a margin, where they spread their belief: there a small probability says little.

    Assumes calibrated probabilities of items the experts were not trained on. Positive where the
    rival is ahead. The proposed label is the rival where the mean prefers it, else the given label.
    ``doubt`` was chosen on public data sets, never on the set that is ranked. This ranking is ours,
    not the paper's; it stands beside the ones of Section 2.3.
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

    score = np.full(n_items, np.nan)
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
        score[index], proposed[index] = _score_chunk(
            chances, given[index], doubt, mean[here], scratch[here]
        )
    positions = np.flatnonzero(valid)
    return rank_items(positions, score[positions], proposed[positions], keys=keys)


def _score_chunk(
    chances: Sequence[Chunk],
    given: Ints,
    doubt: float,
    mean: Chunk,
    scratch: Chunk,
) -> tuple[Floats, Ints]:
    """Return score and proposed label of each row; ``mean`` and ``scratch`` are overwritten."""
    mean[...] = 0.0
    for part in chances:
        mean += part
    mean /= len(chances)
    np.maximum(mean, _TINY, out=scratch)
    np.log(scratch, out=scratch)
    still_open = doubt * np.exp(-np.vecdot(mean, scratch).astype(np.float64))

    item = np.arange(len(mean))
    on_given = mean[item, given].astype(np.float64)
    mean[item, given] = -1.0
    rival = mean.argmax(axis=1)
    ahead = mean[item, rival] > on_given
    on_rival = np.stack([part[item, rival] for part in chances]).astype(np.float64)
    joint = np.prod(on_rival ** (1.0 / len(chances)), axis=0)
    score = np.log(joint + still_open) - np.log(on_given + still_open)
    return score, np.where(ahead, rival, given)


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
