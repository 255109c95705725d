"""How many items to draw from each stratum, and in what order to serve them.

Counts in, counts out; the only randomness is the generator that the caller passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, as_fractions, as_vector


def neyman_weights(sizes: ArrayLike, guesses: ArrayLike) -> Floats:
    """Return N_h sqrt(p_h (1 - p_h)), shape (n_strata,): what Neyman allocation is proportional to.

    ``sizes``: N_h, items per stratum; ``guesses``: p_h, the expected share of errors (Cochran
    1977, Section 5.5).
    """
    share = as_fractions(guesses, "guesses")
    return as_vector(sizes, "sizes") * np.sqrt(share * (1 - share))


def allocate(sizes: ArrayLike, weights: ArrayLike, total: int, minimum: int = 0) -> Ints:
    """Return how many items to draw per stratum, shape (n_strata,), summing to ``total``.

    Every stratum first gets ``minimum`` items (or all it has); the rest goes proportionally to
    ``weights`` (n_strata,), rounded by largest remainder, never beyond a stratum's size N_h in
    ``sizes``. A total too small for the minima is shared out proportionally to them; a total
    beyond the population draws everything.
    """
    caps = as_vector(sizes, "sizes").astype(np.int64)
    shares = as_vector(weights, "weights")
    if caps.shape != shares.shape:
        raise ValueError(f"{caps.size} sizes do not fit {shares.size} weights")
    if caps.size and (caps.min() < 0 or shares.min() < 0):
        raise ValueError("sizes and weights must not be negative")
    if total < 0 or minimum < 0:
        raise ValueError(f"total and minimum must not be negative, got {total} and {minimum}")
    total = min(total, int(caps.sum()))
    floors = np.minimum(caps, minimum)
    if floors.sum() >= total:
        return _share_out(total, floors.astype(np.float64), floors)
    return floors + _share_out(total - int(floors.sum()), shares, caps - floors)


def _share_out(total: int, weights: Floats, caps: Ints) -> Ints:
    """Return ``total`` split proportionally to ``weights``, at most ``caps`` each."""
    granted = np.zeros(caps.size, dtype=np.int64)
    while (left := total - int(granted.sum())) > 0:
        room = caps - granted
        open_weights = np.where(room > 0, weights, 0.0)
        if open_weights.sum() == 0:
            # Only strata without weight have room left: their sizes decide.
            open_weights = room.astype(np.float64)
        quotas = left * open_weights / open_weights.sum()
        full = (room > 0) & (quotas >= room)
        if full.any():
            granted[full] = caps[full]
            continue
        granted += np.floor(quotas).astype(np.int64)
        remainder = quotas - np.floor(quotas)
        largest = np.argsort(-remainder, kind="stable")[: total - int(granted.sum())]
        granted[largest] += 1
    return granted


def interleave(counts: ArrayLike, rng: np.random.Generator) -> Ints:
    """Return the stratum of each place of a random serving order, shape (sum of counts,).

    A systematic sample with a random start per stratum: any run of consecutive places holds each
    stratum in proportion, to within one item, so that stopping early leaves a fair sample.
    """
    per_stratum = as_vector(counts, "counts").astype(np.int64)
    stratum = np.repeat(np.arange(per_stratum.size), per_stratum)
    number = np.concatenate([np.arange(count) for count in per_stratum] or [np.arange(0)])
    start = rng.random(per_stratum.size)
    place = (number + start[stratum]) / per_stratum[stratum]
    return stratum[np.lexsort((rng.random(stratum.size), place))]
