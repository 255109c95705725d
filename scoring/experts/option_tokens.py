"""Option letters among the likeliest tokens that a server tells: what is known, what is bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scoring.arrays import Floats, Mask
from scoring.experts.base import ABSENT

ROUNDING = 1e-5
"""How far a sum of probabilities may be off that a server computed in half precision."""

_SPACE_MARKS = ("\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}", "\N{LOWER ONE EIGHTH BLOCK}")
"""How byte-level BPE and SentencePiece write a blank, where a server shows tokens as they are."""


def find_options(top: Mapping[str, float], options: Sequence[str]) -> tuple[Floats, Mask]:
    """Return each option's log-probability (n_options,), and which of them are only bounds.

    ``top`` are the likeliest tokens. An option that isn't among them is no likelier than the least
    of them, and shares with all others what they leave over: it gets that bound. What is less than
    1e-12 (some servers write -9999 for nothing) is raised to it.
    """
    told = {plain_token(token): value for token, value in top.items()} | dict(top)
    known = np.array([told.get(option, np.nan) for option in options], dtype=np.float64)
    is_bound = np.isnan(known)
    if is_bound.any():
        known[is_bound] = largest_left(list(top.values()))
    return np.maximum(known, ABSENT), is_bound


def largest_left(told: Sequence[float]) -> float:
    """Return the most that a token beside those told can have, as a log-probability."""
    values = np.array(told, dtype=np.float64)
    if not values.size:
        return 0.0
    left = 1.0 - float(np.exp(values).sum())
    # Values that sum to much more than 1 belong to no distribution: what is left can't be said.
    bounds = [values.min()] if left < -ROUNDING else [values.min(), np.log(max(left, 0) + ROUNDING)]
    return float(min(bounds))


def plain_token(token: str) -> str:
    """Return a token as text where it is shown as its vocabulary writes it."""
    return f" {token[1:]}" if token.startswith(_SPACE_MARKS) else token
