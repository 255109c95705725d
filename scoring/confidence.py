"""What one expert says about every item, read from its logits in a single streaming pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
    row_sums,
    scratch_like,
    valid_rows,
)

LIKELY = 0.02
"""Classes at least this probable are listed while the logits are at hand."""

PROBABILITY_FLOOR = float(np.finfo(np.float64).eps)
"""No log likelihood looks below: a bin of accuracy 0 or 1 would cost an infinite NLL else."""

_LEAST_MASS = 1e-30  # what is shared by a smaller mass would leave the range of float32
_MOST_LIKELY_CLASSES = 4  # an item, on average: an expert that sure of nothing gets no list


Singles: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LikelyClasses:
    """Every class other than the top one that an item has with probability ``LIKELY`` or more.

    One entry per pair, by rising item: ``items`` and ``classes`` are positions; ``distances``: the
    class's logit less the top one's. Some less likely pairs may be listed too.
    """

    items: Ints
    classes: Ints
    distances: Chunk


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """One expert's view of every item; all arrays have shape (n_items,).

    ``top1``: class with the largest logit, the lowest index on ties, -1 where not scored.
    ``confidence``: calibrated probability of ``top1``; ``given_probability``: of the given label;
    ``nll``: -ln of the latter. ``raw_*``: the same at temperature 1. ``temperature``: the one used.
    ``others_scale``: the probability of any class j but ``top1`` is this times
    exp((z_j - z_top1) / temperature). ``likely``: the probable classes, None where not listed.
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
    others_scale: Floats
    likely: LikelyClasses | None = None

    @property
    def valid(self) -> Mask:
        """Which items this expert scored."""
        scored: Mask = self.top1 != NOT_SCORED
        return scored


@dataclass(frozen=True, slots=True)
class Readings:
    """What one pass over the logits takes down per item; all arrays have shape (n_items,).

    ``top_logit``: the logit of ``top1``; ``to_given``: the given label's less that one;
    ``agrees``: whether the two are one class.
    ``other_masses``: at each temperature asked for, the mass of all classes but the top one as a
    multiple of the top one's. ``likely`` belongs to the first temperature.
    """

    top1: NDArray[np.int32]
    top_logit: Floats
    to_given: Floats
    agrees: Mask
    temperatures: tuple[Floats, ...]
    other_masses: tuple[Floats, ...]
    likely: LikelyClasses | None
    spread: Spread | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How the classes other than the top one are spread at the first temperature, (n_items,).

    The first three cumulants of (z_j - z_top1) / temperature under their probabilities, which are
    the derivatives of the logarithm of their mass; 0 where there is no mass.
    """

    mean: Singles
    variance: Singles
    third: Singles


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
    rows = as_rows(logits)
    n_items, n_classes = rows.shape
    mask = valid_rows(rows, valid)
    given = as_labels(labels, n_items, n_classes, mask)
    return scored_at(read_items(rows, given, mask, [temperature, 1.0]), 0, raw=1)


def read_items(
    rows: Rows,
    given: Ints,
    valid: Mask,
    temperatures: Sequence[float | ArrayLike],
    *,
    with_spread: bool = False,
) -> Readings:
    """Return what one pass over ``rows`` (n_items, n_classes) tells at several temperatures.

    Each temperature is one number or one per item; nothing is computed twice where they agree.
    ``with_spread``: how the other classes are spread, at the first of them.
    """
    n_items = rows.shape[0]
    top1 = np.full(n_items, NOT_SCORED, dtype=np.int32)
    top_logit, to_given = np.full(n_items, np.nan), np.full(n_items, np.nan)
    at = tuple(_per_item(value, n_items) for value in temperatures)
    masses = tuple(np.full(n_items, np.nan) for _ in at)
    likely = _LikelyList(n_items, slack=0.8 if with_spread else 0.999)
    spread = np.zeros((3, n_items), dtype=np.float32) if with_spread else None
    distances, weights = scratch_like(rows, 2)
    for index, chunk in row_chunks(rows, where=valid):
        every = np.arange(len(chunk))
        weight = weights[: len(chunk)]
        distance = chunk if chunk.flags.writeable else distances[: len(chunk)]
        top = chunk.argmax(axis=1)
        highest = chunk[every, top]
        np.subtract(chunk, highest[:, None], out=distance)
        top1[index], top_logit[index] = top, highest
        to_given[index] = distance[every, given[index]]
        before: Floats | None = None  # the temperatures that ``mass`` is for
        for temperature, masses_at in zip(at, masses, strict=True):
            now = temperature[index]
            if before is None:
                mass = _other_mass(distance, top, now, weight)
                likely.add(index, distance, weight, mass)
                if spread is not None:
                    spread[:, index] = _cumulants(distance, weight, mass, now)
            else:
                todo = np.flatnonzero(now != before)
                if todo.size == len(chunk):
                    mass = _other_mass(distance, top, now, weight)
                elif todo.size:
                    mass[todo] = _other_mass(distance[todo], top[todo], now[todo], weight)
            masses_at[index] = mass
            before = now
    agrees: Mask = valid & (top1 == given)
    return Readings(
        top1,
        top_logit,
        to_given,
        agrees,
        at,
        masses,
        likely.finish(),
        None if spread is None else Spread(*spread),
    )


def scored_at(readings: Readings, number: int, *, raw: int) -> ScoredItems:
    """Return the items scored at the temperature of that number; ``raw``: the number of 1."""
    confidence, on_given, nll = softmax_at(readings, number)
    raw_confidence, raw_on_given, raw_nll = (
        (confidence, on_given, nll) if raw == number else softmax_at(readings, raw)
    )
    return ScoredItems(
        top1=readings.top1,
        confidence=confidence,
        given_probability=on_given,
        nll=nll,
        raw_confidence=raw_confidence,
        raw_given_probability=raw_on_given,
        raw_nll=raw_nll,
        temperature=readings.temperatures[number],
        others_scale=confidence,
        likely=readings.likely if number == 0 else None,
    )


def scored_by_confidence(readings: Readings, confidence: Floats) -> ScoredItems:
    """Return the items with ``confidence`` (n_items,) in place of the top class's probability.

    ``readings`` are at temperature 1. All other classes share 1 - confidence in proportion to
    their raw probabilities, so their order stays; a class other than the top one may come out as
    the most probable. Where the top class holds all raw mass, the rest has none to go by and gets
    none. The NLL never looks below ``PROBABILITY_FLOOR``.
    """
    raw_confidence, raw_on_given, raw_nll = softmax_at(readings, 0)
    mass = readings.other_masses[0]
    shared = mass >= _LEAST_MASS
    scale = np.where(np.isnan(mass), np.nan, 0.0)
    scale[shared] = (1.0 - confidence[shared]) / mass[shared]
    # The mass was summed in float32: a class that holds all of it may exceed it by a last digit.
    share = np.minimum(scale * np.exp(readings.to_given), 1.0 - confidence)
    on_given = np.where(readings.agrees, confidence, share)
    return ScoredItems(
        top1=readings.top1,
        confidence=confidence,
        given_probability=on_given,
        nll=-np.log(np.maximum(on_given, PROBABILITY_FLOOR)),
        raw_confidence=raw_confidence,
        raw_given_probability=raw_on_given,
        raw_nll=raw_nll,
        temperature=readings.temperatures[0],
        others_scale=scale,
    )


def softmax_at(readings: Readings, number: int) -> tuple[Floats, Floats, Floats]:
    """Return each item's confidence, given label's probability and NLL at one temperature."""
    mass = readings.other_masses[number]
    to_given = readings.to_given / readings.temperatures[number]
    confidence = 1.0 / (1.0 + mass)
    return confidence, np.exp(to_given) * confidence, np.log1p(mass) - to_given


def _other_mass(
    distance: Chunk,
    top: NDArray[np.intp],
    temperature: Floats,
    scratch: Chunk,
) -> Floats:
    """Return the mass of all classes but the top one, as a multiple of the top one's.

    Leaving the 1 of the top class out keeps confidences next to 1 apart from each other, where a
    float32 softmax would tie them all. ``scratch`` keeps the mass of every single class.
    """
    weight = scratch[: len(distance)]
    if (temperature == 1.0).all():
        np.exp(distance, out=weight)
    else:
        inverse = (1.0 / temperature).astype(distance.dtype)
        # A single number is a much faster factor than one a row.
        factor = inverse[:, None] if inverse.min() < inverse.max() else inverse[0]
        np.multiply(distance, factor, out=weight)
        np.exp(weight, out=weight)
    weight[np.arange(len(weight)), top] = 0.0
    return row_sums(weight)


def _cumulants(distance: Chunk, weight: Chunk, mass: Floats, temperature: Floats) -> Floats:
    """Return the first three cumulants of distance / temperature, (3, n_rows); spoil ``weight``."""
    moments = np.empty((3, len(mass)))
    for power, moment in enumerate(moments):
        if power:
            np.multiply(weight, distance, out=weight)
        moment[:] = np.vecdot(weight, distance)
    some = mass > 0
    for power, moment in enumerate(moments, start=1):
        scale = mass * temperature**power
        np.divide(moment, scale, out=moment, where=some)
        moment[~some] = 0.0
    mean, square, cube = moments
    variance = np.maximum(square - mean * mean, 0.0)
    third = cube - mean * (3.0 * square - 2.0 * mean * mean)
    return np.stack([mean, variance, third])


def _few_places(weight: Chunk, enough: Chunk) -> Ints:
    """Return the flat places where ``weight`` reaches its row's ``enough``, a few of them all.

    Eight flags at once are looked at as one number, which is zero as a rule.
    """
    flags = np.empty(-(-weight.size // 8) * 8, dtype=np.bool_)
    flags[weight.size :] = False
    np.greater_equal(weight, enough[:, None], out=flags[: weight.size].reshape(weight.shape))
    # Searching booleans is several times as fast as searching numbers.
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    hits, offsets = np.nonzero(flags.reshape(-1, 8)[words])
    places: Ints = words[hits] * 8 + offsets
    return places


class _LikelyList:
    """Collects the classes worth listing, and gives up where an expert finds too many likely."""

    def __init__(self, n_items: int, slack: float) -> None:
        # A little less than asked for: rounding, or moving the readings, must not lose a class.
        self._enough = slack * LIKELY
        self._room = _MOST_LIKELY_CLASSES * n_items
        self._items: list[NDArray[np.int32]] = []
        self._classes: list[NDArray[np.int32]] = []
        self._distances: list[Chunk] = []

    def add(self, index: slice | Ints, distance: Chunk, weight: Chunk, mass: Floats) -> None:
        """List the likely classes of a chunk: ``weight`` / (1 + ``mass``) is their probability."""
        if self._room < 0:
            return
        enough = (self._enough * (1.0 + mass)).astype(weight.dtype)
        rows, classes = np.divmod(_few_places(weight, enough), weight.shape[1])
        self._room -= rows.size
        if self._room < 0:
            self._items, self._classes, self._distances = [], [], []
            return
        positions = rows + index.start if isinstance(index, slice) else index[rows]
        self._items.append(positions.astype(np.int32))
        self._classes.append(classes.astype(np.int32))
        self._distances.append(distance[rows, classes])

    def finish(self) -> LikelyClasses | None:
        if self._room < 0:
            return None
        empty = np.empty(0, dtype=np.int32)
        return LikelyClasses(
            items=np.concatenate([empty, *self._items]),
            classes=np.concatenate([empty, *self._classes]),
            distances=np.concatenate([empty.astype(np.float32), *self._distances]),
        )


def _per_item(temperature: float | ArrayLike, n_items: int) -> Floats:
    """Return one positive, finite temperature per item, shape (n_items,)."""
    values = np.asarray(temperature, dtype=np.float64)
    if values.shape not in {(), (n_items,)}:
        raise ValueError(f"temperature must be one number or {n_items}, got shape {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("temperatures must be finite and positive")
    # One number for all takes no memory; nobody writes into either.
    return np.broadcast_to(values, (n_items,)) if values.ndim == 0 else values.copy()
