"""Vector scaling: one scale and one offset a class, an extra beside the temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, Rows, as_labels, as_rows, row_chunks
from scoring.arrays import valid_rows as usable_rows
from scoring.degenerate import Degenerate, check_enough_rows

RIDGE = 1e-3
"""Weight of half the squared distance from the identity: it holds classes with few items."""

_MAX_STEPS = 500


@dataclass(frozen=True, slots=True)
class VectorScaler:
    """Scale and shift the logits of every class by numbers of its own (Guo et al. 2017).

    Probabilities are softmax(scales * logits + offsets), so classes may overtake each other.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.offsets) or len(self.scales) < 2:
            raise ValueError(f"{len(self.scales)} scales do not fit {len(self.offsets)} offsets")
        if not (np.isfinite(self.scales).all() and np.isfinite(self.offsets).all()):
            raise ValueError("scales and offsets must be finite")

    @classmethod
    def fit(
        cls,
        logits: Rows | ArrayLike,
        labels: ArrayLike,
        *,
        valid: ArrayLike | None = None,
    ) -> Self:
        """Fit on ``logits`` (n_items, n_classes) against class indices ``labels`` (n_items,).

        Minimises the mean NLL plus ``RIDGE`` / 2 times the squared distance from scales of 1 and
        offsets of 0, by L-BFGS; every step streams the logits once. Raises ``Degenerate``.
        """
        from scipy.optimize import minimize

        rows = as_rows(logits)
        n_items, n_classes = rows.shape
        mask = usable_rows(rows, valid)
        given = as_labels(labels, n_items, n_classes, mask)
        check_enough_rows(int(np.count_nonzero(mask)))
        used = given[mask]
        if (used == used[0]).all():
            raise Degenerate("single_label", f"every label is class {used[0]}")
        identity = np.r_[np.ones(n_classes), np.zeros(n_classes)]

        def loss(weights: Floats) -> tuple[float, Floats]:
            nll, gradient = _nll(rows, given, mask, weights[:n_classes], weights[n_classes:])
            apart = weights - identity
            return nll + RIDGE / 2 * float(apart @ apart), gradient + RIDGE * apart

        found = minimize(
            loss, identity, jac=True, method="L-BFGS-B", options={"maxiter": _MAX_STEPS}
        )
        if not found.success:
            raise Degenerate("at_bound", f"no minimum within {_MAX_STEPS} steps")
        return cls(tuple(found.x[:n_classes].tolist()), tuple(found.x[n_classes:].tolist()))

    def apply(self, logits: Rows | ArrayLike) -> Floats:
        """Return calibrated class probabilities, float64 of shape (n_items, n_classes)."""
        rows = as_rows(logits)
        probabilities = np.empty(rows.shape, dtype=np.float64)
        for span, chunk in self._probabilities(rows):
            probabilities[span] = chunk
        return probabilities

    def probability_of(
        self, logits: Rows | ArrayLike, classes: Ints, where: Mask | None = None
    ) -> Floats:
        """Return each item's probability of the class named for it, (n_items,), streamed.

        ``classes`` (n_items,) are class indices; items outside ``where`` (n_items,) get NaN.
        """
        rows = as_rows(logits)
        named = np.full(rows.shape[0], np.nan)
        for index, chunk in self._probabilities(rows, where):
            named[index] = chunk[np.arange(len(chunk)), classes[index]]
        return named

    def _probabilities(
        self, rows: Rows, where: Mask | None = None
    ) -> Iterator[tuple[slice | Ints, Floats]]:
        if rows.shape[1] != len(self.scales):
            raise ValueError(f"{rows.shape[1]} classes do not fit {len(self.scales)} scales")
        scales, offsets = np.asarray(self.scales), np.asarray(self.offsets)
        for index, chunk in row_chunks(rows, where=where):
            yield index, _softmax(chunk.astype(np.float64) * scales + offsets)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"scales": list(self.scales), "offsets": list(self.offsets)}

    def to_json(self) -> dict[str, Any]:
        return {"kind": "vector", **self.parameters}


def _nll(
    rows: Rows, given: Ints, valid: Mask, scales: Floats, offsets: Floats
) -> tuple[float, Floats]:
    """Return the mean NLL and its gradient by scales and offsets, (2 * n_classes,)."""
    n_classes = scales.size
    total, gradient = 0.0, np.zeros((2, n_classes))
    for index, chunk in row_chunks(rows, where=valid):
        wide = chunk.astype(np.float64)
        residual = _softmax(wide * scales + offsets)
        every = np.arange(len(wide))
        on_given = residual[every, given[index]]
        # A probability that underflows would cost an infinite NLL and end the search.
        total -= float(np.log(np.maximum(on_given, np.finfo(np.float64).tiny)).sum())
        residual[every, given[index]] -= 1.0
        gradient[0] += (residual * wide).sum(axis=0)
        gradient[1] += residual.sum(axis=0)
    n_rows = int(np.count_nonzero(valid))
    return total / n_rows, gradient.ravel() / n_rows


def _softmax(logits: Floats) -> Floats:
    """Return the softmax of every row, computed in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
