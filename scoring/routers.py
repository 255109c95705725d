"""Routers that a cascade is compared with: learned, raw, random, and the best there could be.

``MatrixFactorizationRouter`` follows RouteLLM (Ong et al. 2025; Section 3.2, Appendix D). All
routers become levels of items, so that one curve and one APGR measures them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import scipy
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints, Mask, Rows, as_rows, as_vector, row_chunks
from scoring.cascade import as_outcomes, shared_edges
from scoring.degenerate import Degenerate, check_enough_rows

Ties: TypeAlias = Literal["half", "drop"]

N_ORACLE_LEVELS = 3
TOP_CLASSES = 5
_START_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class MatrixFactorizationRouter:
    """Predict which model wins on an item from what is known before the large one runs.

    The quality of model m on item x is a low-rank bilinear form s(m, x) = v_m . (W x + b), with
    x standardised by ``centre`` and ``scale`` (n_features,); m beats n with probability
    sigmoid(s(m, x) - s(n, x)). ``projection`` (rank, n_features) is W, ``offset`` (rank,) is b,
    ``models`` (n_models, rank) holds the v_m, the small model first and the large one last.

    Between two models only the difference of their vectors matters, so the form then is a logistic
    regression whose penalty acts on the factors; the factors share what three models or more
    have in common.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    projection: tuple[tuple[float, ...], ...]
    offset: tuple[float, ...]
    models: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls,
        features: ArrayLike,
        correct: ArrayLike,
        *,
        rank: int = 8,
        penalty: float = 1e-3,
        ties: Ties = "half",
        rng: np.random.Generator,
    ) -> Self:
        """Fit on ``features`` (n_items, n_features) and ``correct`` (n_models, n_items), booleans.

        Of every item and every pair of models the one that is right beats the one that is not.
        Where both are right or both wrong the item is half a win for either (``ties="half"``), so
        that the prediction follows the expected difference of the two; ``"drop"`` leaves such
        items out, as RouteLLM's own training does. Mean logistic loss plus ``penalty`` times the
        squared norm of all factors, by L-BFGS. Raises ``Degenerate``.
        """
        inputs, outcomes = _as_features(features), np.asarray(correct)
        if outcomes.dtype != np.bool_ or outcomes.ndim != 2 or outcomes.shape[1] != len(inputs):
            raise ValueError(
                f"correct must be booleans (n_models, {len(inputs)}), got {outcomes.shape}"
            )
        if ties not in {"half", "drop"}:
            raise ValueError(f"ties count as 'half' or are 'drop'ped, got {ties!r}")
        check_enough_rows(len(inputs))
        centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)  # a constant feature tells nothing, harms nothing
        duels = _duels(outcomes, ties)
        if (duels.win == 0.5).all():
            raise Degenerate("no_signal", "the models are right and wrong on the same items")
        shapes = [(rank, inputs.shape[1]), (rank,), (len(outcomes), rank)]
        start = _START_SPREAD * rng.standard_normal(sum(int(np.prod(shape)) for shape in shapes))
        found = scipy.optimize.minimize(
            _loss_and_gradient,
            start,
            args=((inputs - centre) / scale, duels, shapes, penalty),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 1000},
        )
        projection, offset, models = _unpack(found.x, shapes)
        return cls(
            tuple(centre.tolist()),
            tuple(scale.tolist()),
            tuple(map(tuple, projection.tolist())),
            tuple(offset.tolist()),
            tuple(map(tuple, models.tolist())),
        )

    def predict(self, features: ArrayLike, strong: int = -1, weak: int = 0) -> Floats:
        """Return the probability that model ``strong`` beats ``weak`` on each item, (n_items,)."""
        inputs = (_as_features(features) - np.asarray(self.centre)) / np.asarray(self.scale)
        hidden = inputs @ np.asarray(self.projection).T + np.asarray(self.offset)
        models = np.asarray(self.models)
        return np.asarray(
            scipy.special.expit(hidden @ (models[strong] - models[weak])), dtype=np.float64
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "matrix_factorization",
            "centre": list(self.centre),
            "scale": list(self.scale),
            "projection": [list(row) for row in self.projection],
            "offset": list(self.offset),
            "models": [list(row) for row in self.models],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return the router that ``to_json`` wrote."""
        if stored.get("kind") != "matrix_factorization":
            raise ValueError(f"not a stored matrix factorization router: {dict(stored)!r}")
        return cls(
            tuple(map(float, stored["centre"])),
            tuple(map(float, stored["scale"])),
            tuple(tuple(map(float, row)) for row in stored["projection"]),
            tuple(map(float, stored["offset"])),
            tuple(tuple(map(float, row)) for row in stored["models"]),
        )


def small_model_features(logits: Rows | ArrayLike, valid: Mask | None = None) -> Floats:
    """Return what the small model alone tells of each item, (n_items, up to 8), for a router.

    Columns: log odds of the top class, log probabilities of the ``TOP_CLASSES`` likeliest classes,
    entropy, largest logit less the mean. Nothing of the large model is known at routing time, so
    nothing of it is here. ``logits`` (n_items, n_classes) is streamed; rows outside ``valid`` are
    NaN.
    """
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    n_top = min(TOP_CLASSES, n_classes)
    features = np.full((n_items, n_top + 3), np.nan)
    for index, chunk in row_chunks(rows, where=valid):
        logs = scipy.special.log_softmax(chunk.astype(np.float64), axis=1)
        top = -np.sort(-logs, axis=1)[:, :n_top] if n_classes <= 64 else _largest(logs, n_top)
        # -expm1 keeps 1 - p where p is next to 1; the floor is where float64 ends.
        other = np.maximum(-np.expm1(top[:, 0]), 1e-300)
        features[index, 0] = top[:, 0] - np.log(other)
        features[index, 1 : n_top + 1] = np.maximum(top, -30.0)  # a hundred nats more say no more
        features[index, n_top + 1] = -(np.exp(logs) * logs).sum(axis=1)
        features[index, n_top + 2] = logs.max(axis=1) - np.mean(logs, axis=1)
    return features


def score_levels(
    validation_score: ArrayLike, test_score: ArrayLike, n_bins: int = 15
) -> tuple[Ints, int]:
    """Return the test items' levels under a router's scores, (n_test,), and how many there are.

    The thresholds are equal-count bins of the **validation** half's scores, as for a cascade; the
    items of the lowest scores stay with the small model first.
    """
    validation = as_vector(validation_score, "validation_score")
    if validation.size == 0:
        raise Degenerate("empty_split", "no item to cut bins from")
    edges = shared_edges(validation, n_bins)
    levels: Ints = np.searchsorted(edges, as_vector(test_score, "test_score"), side="right")
    return levels, len(edges) + 1


def oracle_levels(small_correct: ArrayLike, large_correct: ArrayLike) -> Ints:
    """Return the levels, (n_items,), of a router that knows every outcome: no rule does better.

    First what only the small model gets right, then where both are alike, last what only the
    large one gets right. Between its four points the best curve is straight.
    """
    small, large = as_outcomes(small_correct, large_correct)
    return 1 + large.astype(np.int64) - small.astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Duels:
    """Pairs of models on items; ``win`` is 1, 0 or 1/2 from the view of ``first``."""

    item: Ints
    first: Ints
    second: Ints
    win: Floats


def _duels(correct: Mask, ties: Ties) -> _Duels:
    n_models, n_items = correct.shape
    pairs = [(m, n) for n in range(n_models) for m in range(n + 1, n_models)]
    if not pairs:
        raise ValueError("a router needs two models or more")
    first, second = (np.repeat(side, n_items) for side in np.transpose(pairs))
    item = np.tile(np.arange(n_items), len(pairs))
    win = 0.5 * (1.0 + correct[first, item] - correct[second, item].astype(np.float64))
    kept = np.ones(win.size, dtype=np.bool_) if ties == "half" else win != 0.5
    if not kept.any():
        raise Degenerate("no_signal", "the models are right and wrong on the same items")
    return _Duels(item[kept], first[kept], second[kept], win[kept])


def _loss_and_gradient(
    packed: Floats, inputs: Floats, duels: _Duels, shapes: Sequence[tuple[int, ...]], penalty: float
) -> tuple[float, Floats]:
    """Return the mean logistic loss plus penalty, and its gradient, at packed parameters."""
    projection, offset, models = _unpack(packed, shapes)
    hidden = (inputs @ projection.T + offset)[duels.item]
    versus = models[duels.first] - models[duels.second]
    odds = np.einsum("ij,ij->i", hidden, versus)
    loss = float((np.logaddexp(0.0, odds) - duels.win * odds).mean())
    slope = ((scipy.special.expit(odds) - duels.win) / odds.size)[:, None]
    by_item = np.zeros((len(inputs), offset.size))
    np.add.at(by_item, duels.item, slope * versus)
    by_model = np.zeros_like(models)
    np.add.at(by_model, duels.first, slope * hidden)
    np.add.at(by_model, duels.second, -slope * hidden)
    gradient = [by_item.T @ inputs, by_item.sum(axis=0), by_model]
    return (
        loss + penalty * float(packed @ packed),
        np.concatenate([part.ravel() for part in gradient]) + 2 * penalty * packed,
    )


def _unpack(packed: Floats, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [
        part.reshape(shape) for part, shape in zip(np.split(packed, ends[:-1]), shapes, strict=True)
    ]


def _largest(values: Floats, n: int) -> Floats:
    """Return each row's ``n`` largest values, falling, without sorting the row."""
    part = -np.partition(-values, n - 1, axis=1)[:, :n]
    largest: Floats = -np.sort(-part, axis=1)
    return largest


def _as_features(features: ArrayLike) -> Floats:
    inputs = np.asarray(features, dtype=np.float64)
    if inputs.ndim != 2 or not np.isfinite(inputs).all():
        raise ValueError(f"features must be finite (n_items, n_features), got {inputs.shape}")
    return inputs
