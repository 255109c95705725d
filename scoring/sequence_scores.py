"""One score per written answer: the mean over its tokens (Section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats


def sequence_scores(token_values: Sequence[ArrayLike]) -> Floats:
    """Return each answer's mean logit, or mean log-probability, shape (n_items,).

    ``token_values`` holds per item what the model gave the tokens that it produced, (n_tokens,):
    their logits, as the paper's Platt scaling takes them, or their log-probabilities, whose mean
    is the answer's log-probability normalised by its length. NaN where nothing was produced.
    """
    scores = np.full(len(token_values), np.nan)
    for place, values in enumerate(token_values):
        tokens = np.asarray(values, dtype=np.float64)
        if tokens.ndim != 1:
            raise ValueError(f"an answer's values must be (n_tokens,), got {tokens.shape}")
        if not np.isfinite(tokens).all():
            raise ValueError(f"the values of answer {place} contain NaN or infinity")
        if tokens.size:
            scores[place] = tokens.mean()
    return scores
