"""What one expert says about every item, read from its logits in a single streaming pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    valid_rows,
)


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """One expert's view of every item; all arrays have shape (n_items,).

    ``top1``: class with the largest logit, the lowest index on ties, -1 where not scored.
    ``confidence``: calibrated probability of ``top1``; ``given_probability``: of the given label;
    ``nll``: -ln of the latter. ``raw_*``: the same at temperature 1. ``temperature``: the one used.
    Everything but ``top1`` and ``temperature`` is NaN where not scored.
    """

    top1: NDArray[np.int32]
    confidence: Floats
    given_probability: Floats
    nll: Floats
    raw_confidence: Floats
    raw_given_probability: Floats
    raw_nll: Floats
    temperature: Floats

    @property
    def valid(self) -> Mask:
        """Which items this expert scored."""
        scored: Mask = self.top1 != NOT_SCORED
        return scored


@dataclass(frozen=True, slots=True)
class _Reading:
    """Confidence, probability of the given label and NLL per item, at one set of temperatures."""

    temperature: Floats
    confidence: Floats
    given_probability: Floats
    nll: Floats

    @classmethod
    def empty(cls, temperature: Floats) -> _Reading:
        blanks = (np.full(temperature.size, np.nan) for _ in range(3))
        return cls(temperature, *blanks)


def score_items(
    logits: Rows | ArrayLike,
    labels: ArrayLike,
    temperature: float | ArrayLike,
    *,
    valid: ArrayLike | None = None,
) -> ScoredItems:
    """Return each item's top class, its confidence and the given label's probability.

    ``logits`` (n_items, n_classes) is streamed; ``labels`` (n_items,) are the given classes;
    ``temperature`` is one number or one per item, which is how cross-fitting scores every item
    with the calibrator fitted on the other half (Section 2.1). Rows outside ``valid``, by default
    those with NaN or infinity, come back as not scored.
    """
    return score_items_twice(logits, labels, temperature, temperature, valid=valid)[0]


def score_items_twice(
    logits: Rows | ArrayLike,
    labels: ArrayLike,
    temperature: float | ArrayLike,
    other_temperature: float | ArrayLike,
    *,
    valid: ArrayLike | None = None,
) -> tuple[ScoredItems, ScoredItems]:
    """Return ``score_items`` at two sets of temperatures for the price of one reading."""
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    mask = valid_rows(rows, valid)
    given = as_labels(labels, n_items, n_classes, mask)
    top1 = np.full(n_items, NOT_SCORED, dtype=np.int32)
    readings = [
        _Reading.empty(_per_item(value, n_items)) for value in (1.0, temperature, other_temperature)
    ]
    distances, weights = scratch_like(rows, 2)
    for index, chunk in row_chunks(rows, where=mask):
        distance, weight = distances[: len(chunk)], weights[: len(chunk)]
        top = chunk.argmax(axis=1)
        np.subtract(chunk, chunk[np.arange(len(chunk)), top, None], out=distance)
        top1[index] = top
        _read_chunk(readings, index, distance, top, given[index], weight)
    raw, first, second = readings
    return _scored(top1, first, raw), _scored(top1, second, raw)


def _read_chunk(
    readings: Sequence[_Reading],
    index: slice | Ints,
    distance: Chunk,
    top: NDArray[np.intp],
    given: Ints,
    weight: Chunk,
) -> None:
    """Fill ``readings`` for one chunk, computing no row twice at the same temperature."""
    to_given = distance[np.arange(len(distance)), given].astype(np.float64)
    known = np.full(len(distance), np.nan)  # the temperatures that ``rest`` is for
    rest = np.empty(len(distance))
    for reading in readings:
        temperature = reading.temperature[index]
        todo = np.flatnonzero(temperature != known)
        if todo.size == len(distance):
            rest = _other_mass(distance, top, temperature, weight)
        elif todo.size:
            rest[todo] = _other_mass(distance[todo], top[todo], temperature[todo], weight)
        known = temperature
        confidence = 1.0 / (1.0 + rest)
        reading.confidence[index] = confidence
        reading.given_probability[index] = np.exp(to_given / temperature) * confidence
        reading.nll[index] = np.log1p(rest) - to_given / temperature


def _other_mass(
    distance: Chunk,
    top: NDArray[np.intp],
    temperature: Floats,
    scratch: Chunk,
) -> Floats:
    """Return the mass of all classes but the top one, as a multiple of the top one's.

    Leaving the 1 of the top class out keeps confidences next to 1 apart from each other, where a
    float32 softmax would tie them all.
    """
    weight = scratch[: len(distance)]
    if (temperature == 1.0).all():
        np.exp(distance, out=weight)
    else:
        inverse = (1.0 / temperature).astype(distance.dtype)
        np.multiply(distance, inverse[:, None], out=weight)
        np.exp(weight, out=weight)
    weight[np.arange(len(weight)), top] = 0.0
    mass: Floats = weight.sum(axis=1).astype(np.float64)
    return mass


def _per_item(temperature: float | ArrayLike, n_items: int) -> Floats:
    """Return one positive, finite temperature per item, shape (n_items,)."""
    values = np.asarray(temperature, dtype=np.float64)
    if values.shape not in {(), (n_items,)}:
        raise ValueError(f"temperature must be one number or {n_items}, got shape {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("temperatures must be finite and positive")
    return np.full(n_items, values) if values.ndim == 0 else values.copy()


def _scored(top1: NDArray[np.int32], reading: _Reading, raw: _Reading) -> ScoredItems:
    return ScoredItems(
        top1=top1,
        confidence=reading.confidence,
        given_probability=reading.given_probability,
        nll=reading.nll,
        raw_confidence=raw.confidence,
        raw_given_probability=raw.given_probability,
        raw_nll=raw.nll,
        temperature=reading.temperature,
    )
