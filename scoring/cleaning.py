"""Which items the experts dispute, and in which order people should look at them (Section 2.3).

Every method returns a ``Queue``. An item that one of its experts did not score, or that has no
given label (-1), is in no queue. Ties are broken by item key, so input order never matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import NOT_SCORED, Floats, Ints, Mask, key_ranks, rising_order
from scoring.binning import check_n_bins, equal_count_bins

BinsOver: TypeAlias = Literal["disputed", "all"]
Keys: TypeAlias = ArrayLike | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Queue:
    """Flagged items, the strongest first; all arrays have one entry per flagged item.

    ``positions``: item positions in rank order; ``score``: the method's score; ``bin_rank``: the
    smallest k whose top-k bins hold the item (calibrated ensemble only); ``proposed_label``: the
    class the experts favour - of the most confident expert, where they differ.
    """

    positions: Ints
    score: Floats
    bin_rank: Ints | None
    proposed_label: Ints

    def __len__(self) -> int:
        return self.positions.size

    def mask(self, n_items: int) -> Mask:
        """Return which of ``n_items`` items are flagged, shape (n_items,)."""
        flagged = np.zeros(n_items, dtype=np.bool_)
        flagged[self.positions] = True
        return flagged

    def sizes_by_k(self, n_bins: int) -> Ints:
        """Return the number of items in the top-k bins for k = 1..``n_bins``."""
        if self.bin_rank is None:
            raise ValueError("only the calibrated ensemble has bins")
        sizes: Ints = np.cumsum(np.bincount(self.bin_rank, minlength=n_bins + 1)[1:])
        return sizes


def disputed(top1s: Sequence[ArrayLike] | ArrayLike, given_labels: ArrayLike) -> Mask:
    """Return the items whose given label every expert rejects, shape (n_items,) (Section 2.3).

    ``top1s`` (n_experts, n_items): top classes, -1 where not scored; ``given_labels`` (n_items,).
    """
    tops, given = _as_tops(top1s, given_labels)
    return _flagged(tops, given, require_agreement=False)


def bin_rank(
    confidences: Sequence[ArrayLike] | ArrayLike,
    mask: ArrayLike,
    n_bins: int = 15,
    over: BinsOver = "disputed",
    keys: Keys = None,
) -> Ints:
    """Return h (n_items,): the item lies in every expert's k most confident bins iff 0 < h <= k.

    ``confidences`` (n_experts, n_items), NaN where not scored; ``mask`` (n_items,): the flagged
    items, all others get 0. Each expert's equal-count bins are cut over the flagged items
    (``over="disputed"``, Section 3.5) or over all it scored (``"all"``, Section 2.3 to the
    letter); h is the largest over experts of the bin counted from the most confident.
    """
    flagged = np.asarray(mask, dtype=np.bool_)
    positions = np.flatnonzero(flagged)
    ranks = np.zeros(flagged.size, dtype=np.int64)
    ranks[positions] = _bin_ranks(_per_expert(confidences), positions, n_bins, over, keys)
    return ranks


def basic(
    top1: ArrayLike,
    confidence: ArrayLike,
    given_labels: ArrayLike,
    *,
    keys: Keys = None,
) -> Queue:
    """Queue the items one expert disputes, by its confidence; arrays are (n_items,)."""
    return ensemble([top1], [confidence], given_labels, keys=keys)


def ensemble(
    top1s: Sequence[ArrayLike] | ArrayLike,
    confidences: Sequence[ArrayLike] | ArrayLike,
    given_labels: ArrayLike,
    *,
    require_agreement: bool = False,
    keys: Keys = None,
) -> Queue:
    """Queue the items all experts dispute, by joint confidence: the least over experts.

    ``top1s`` and ``confidences`` are (n_experts, n_items). ``require_agreement`` keeps only items
    for which all experts name the same class.
    """
    tops, given = _as_tops(top1s, given_labels)
    positions = np.flatnonzero(_flagged(tops, given, require_agreement=require_agreement))
    values = _at(positions, _per_expert(confidences))
    proposed = proposed_labels(tops[:, positions], values)
    return rank_items(positions, values.min(axis=0), proposed, keys=keys)


def calibrated_ensemble(
    top1s: Sequence[ArrayLike] | ArrayLike,
    confidences: Sequence[ArrayLike] | ArrayLike,
    given_labels: ArrayLike,
    *,
    n_bins: int = 15,
    k: int | None = None,
    over: BinsOver = "disputed",
    require_agreement: bool = False,
    keys: Keys = None,
) -> Queue:
    """Queue the disputed items in every expert's ``k`` most confident bins (Section 2.3).

    Ranked by bin rank, then joint confidence, so the queue for k starts the queue for k + 1; at
    ``k = n_bins`` (the default) it holds the items of ``ensemble``. With ``require_agreement``
    bins over disputed items are cut over those on which the experts agree.
    """
    tops, given = _as_tops(top1s, given_labels)
    every = _per_expert(confidences)
    positions = np.flatnonzero(_flagged(tops, given, require_agreement=require_agreement))
    bins = _bin_ranks(every, positions, n_bins, over, keys)
    if k is not None:
        if not 1 <= k <= n_bins:
            raise ValueError(f"k must lie in 1..{n_bins}, got {k}")
        positions, bins = positions[bins <= k], bins[bins <= k]
    values = _at(positions, every)
    proposed = proposed_labels(tops[:, positions], values)
    return rank_items(positions, values.min(axis=0), proposed, bins=bins, keys=keys)


def calibrated_margin(
    top1s: Sequence[ArrayLike] | ArrayLike,
    confidences: Sequence[ArrayLike] | ArrayLike,
    given_probabilities: Sequence[ArrayLike] | ArrayLike,
    given_labels: ArrayLike,
    *,
    keys: Keys = None,
) -> Queue:
    """Queue the items some expert disputes, by the mean margin of top class over given label.

    The margin is confidence - probability of the given label, and 0 for an expert that agrees with
    the label. All arrays but ``given_labels`` are (n_experts, n_items).
    """
    tops, given = _as_tops(top1s, given_labels)
    positions = np.flatnonzero(_scored_by_all(tops, given) & (tops != given).any(axis=0))
    tops, agrees = tops[:, positions], tops[:, positions] == given[positions]
    values = _at(positions, _per_expert(confidences))
    margins = values - _at(positions, _per_expert(given_probabilities))
    margin = np.where(agrees, 0.0, margins).mean(axis=0)
    proposed = proposed_labels(tops, np.where(agrees, -1.0, values))
    ahead = margin > 0
    return rank_items(positions[ahead], margin[ahead], proposed[ahead], keys=keys)


def self_confidence(
    top1s: Sequence[ArrayLike] | ArrayLike,
    confidences: Sequence[ArrayLike] | ArrayLike,
    given_probabilities: Sequence[ArrayLike] | ArrayLike,
    given_labels: ArrayLike,
    *,
    keys: Keys = None,
) -> Queue:
    """Queue every item, by 1 - mean probability of its given label; arrays as above.

    The proposed label is the given one where the most confident expert agrees with it.
    """
    tops, given = _as_tops(top1s, given_labels)
    positions = np.flatnonzero(_scored_by_all(tops, given))
    doubt = 1.0 - _at(positions, _per_expert(given_probabilities)).mean(axis=0)
    proposed = proposed_labels(tops[:, positions], _at(positions, _per_expert(confidences)))
    return rank_items(positions, doubt, proposed, keys=keys)


def proposed_labels(tops: Ints, confidences: Floats) -> Ints:
    """Return the most confident expert's top class, (n_items,); the first expert's on ties."""
    known = np.where(np.isnan(confidences), -np.inf, confidences)
    favoured: Ints = np.take_along_axis(tops, known.argmax(axis=0)[None], axis=0)[0]
    return favoured


def rank_items(
    positions: Ints,
    score: Floats,
    proposed: Ints,
    *,
    bins: Ints | None = None,
    keys: Keys = None,
) -> Queue:
    """Return the items by rising ``bins``, falling ``score``, then key.

    All arrays are (n_flagged,), ``positions`` rising; ``keys`` (n_items,).
    """
    order = rising_order(-score, _ties(positions, keys))
    if bins is not None:
        order = order[np.argsort(bins[order], kind="stable")]
    return Queue(
        positions=positions[order],
        score=score[order],
        bin_rank=None if bins is None else bins[order],
        proposed_label=proposed[order].astype(np.int64),
    )


def _ties(positions: Ints, keys: Keys) -> Ints:
    """Return what breaks ties between the items at rising ``positions``."""
    if keys is None:
        return positions
    names = np.asarray(keys)
    return key_ranks(names, names.shape[0])[positions]


def _bin_ranks(
    confidences: Sequence[Floats], positions: Ints, n_bins: int, over: BinsOver, keys: Keys
) -> Ints:
    """Return ``bin_rank`` of the flagged items alone, (n_flagged,)."""
    check_n_bins(n_bins)
    if over not in {"disputed", "all"}:
        raise ValueError(f"bins are cut over 'disputed' or 'all' items, got {over!r}")
    worst = np.zeros(positions.size, dtype=np.int64)
    for confidence in confidences:
        scope = positions if over == "disputed" else np.flatnonzero(~np.isnan(confidence))
        if scope.size == 0:
            continue
        bins = equal_count_bins(confidence[scope], n_bins, _ties(scope, keys))
        rank = bins.max() + 1 - bins
        if over == "all":
            of_all = np.zeros(confidence.size, dtype=np.int64)
            of_all[scope] = rank
            rank = of_all[positions]
        np.maximum(worst, rank, out=worst)
    return worst


def _per_expert(values: Sequence[ArrayLike] | ArrayLike) -> list[Floats]:
    """Return one float64 array (n_items,) per expert, without copying what is that already."""
    if isinstance(values, Sequence) and np.ndim(values[0]) == 1:
        return [np.asarray(each, dtype=np.float64) for each in values]
    return list(np.atleast_2d(np.asarray(values, dtype=np.float64)))


def _at(positions: Ints, values: Sequence[Floats]) -> Floats:
    """Return the values of some items, (n_experts, n_positions)."""
    return np.stack([each[positions] for each in values])


def _as_tops(top1s: Sequence[ArrayLike] | ArrayLike, given_labels: ArrayLike) -> tuple[Ints, Ints]:
    """Return top classes (n_experts, n_items) and given labels (n_items,), checked to fit."""
    tops = np.atleast_2d(np.asarray(top1s))
    given = np.asarray(given_labels)
    if tops.ndim != 2 or given.shape != tops.shape[1:]:
        raise ValueError(f"top classes {tops.shape} do not fit given labels {given.shape}")
    return tops, given


def _scored_by_all(tops: Ints, given: Ints) -> Mask:
    scored: Mask = (tops != NOT_SCORED).all(axis=0) & (given != NOT_SCORED)
    return scored


def _flagged(tops: Ints, given: Ints, *, require_agreement: bool) -> Mask:
    """Return the items every expert disputes, or disputes in favour of one and the same class."""
    flagged: Mask = _scored_by_all(tops, given) & (tops != given).all(axis=0)
    return flagged & (tops == tops[0]).all(axis=0) if require_agreement else flagged
