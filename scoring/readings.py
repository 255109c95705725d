"""What one streaming pass over an expert's logits takes down about every item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.arrays import (
    NOT_SCORED,
    Chunk,
    Floats,
    Ints,
    Mask,
    Rows,
    row_chunks,
    scratch_like,
    working_type,
)

LIKELY = 0.02
"""Classes at least this probable are listed while the logits are at hand."""

LISTED = 0.999 * LIKELY
"""So probable a class is listed indeed: rounding must not lose one."""

BLOCK = 65_536
"""Items looked at together, where intermediate results on all would take more than the results."""

_LISTED_BEFORE_A_MOVE = 0.8 * LIKELY
_MOST_LIKELY_CLASSES = 4  # an item, on average: an expert that sure of nothing gets no list

Singles: TypeAlias = NDArray[np.float32]
Some: TypeAlias = slice | Ints | NDArray[np.int32] | Mask
EVERY = slice(None)


@dataclass(frozen=True, slots=True)
class LikelyClasses:
    """Every class other than the top one that an item has with probability ``LIKELY`` or more.

    One entry per pair, by rising item: ``items`` and ``classes`` are positions; ``distances``: the
    class's logit less the top one's. Some less likely pairs may be listed too.
    """

    items: NDArray[np.int32]
    classes: NDArray[np.unsignedinteger[Any]]
    distances: Chunk


@dataclass(frozen=True, slots=True)
class Readings:
    """What one pass over the logits takes down per item; all arrays have shape (n_items,).

    ``top_logit``: the logit of ``top1``; ``to_given``: the given label's less that one;
    ``agrees``: whether the two are one class.
    ``other_masses``: at each temperature asked for, the mass of all classes but the top one as a
    multiple of the top one's. Leaving the 1 of the top class out keeps confidences next to 1 apart
    from each other, where a float32 softmax would tie them all. ``likely`` belongs to the first
    temperature. Where an item is not scored, numbers are NaN.
    """

    top1: NDArray[np.int32]
    top_logit: Chunk
    to_given: Chunk
    agrees: Mask
    temperatures: tuple[Floats, ...]
    other_masses: tuple[Chunk, ...]
    likely: LikelyClasses | None
    spread: Spread | None = None

    @property
    def valid(self) -> Mask:
        """Which items have been read."""
        read: Mask = self.top1 != NOT_SCORED
        return read

    def confidence(self, number: int, items: Some = EVERY) -> Floats:
        """Return the top class's probability at the temperature of that number."""
        return 1.0 / (1.0 + self.other_masses[number][items].astype(np.float64))

    def given_probability(self, number: int, items: Some = EVERY) -> Floats:
        """Return the given label's probability at the temperature of that number."""
        chances = self.to_given[items] / self.temperatures[number][items]
        np.exp(chances, out=chances)
        chances *= self.confidence(number, items)
        return chances

    def nll(self, number: int, items: Some = EVERY) -> Floats:
        """Return -ln of the given label's probability at the temperature of that number."""
        losses = np.log1p(self.other_masses[number][items].astype(np.float64))
        losses -= self.to_given[items] / self.temperatures[number][items]
        return losses


@dataclass(frozen=True, slots=True)
class Spread:
    """How the classes other than the top one are spread at the first temperature, (n_items,).

    The first three cumulants of (z_j - z_top1) / temperature under their probabilities, which are
    the derivatives of the logarithm of their mass; 0 where there is no mass.
    """

    mean: Singles
    variance: Singles
    third: Singles


def read_items(
    rows: Rows,
    given: Ints,
    valid: Mask | None,
    temperatures: Sequence[float | ArrayLike],
    *,
    with_spread: bool = False,
) -> Readings:
    """Return what one pass over ``rows`` (n_items, n_classes) tells at several temperatures.

    Rows outside ``valid`` (n_items,) are left out; None leaves those with NaN or infinity out.
    Each temperature is one number or one per item. ``with_spread``: how the other classes are
    spread, at the first of them.
    """
    reader = _Reader(rows, given, temperatures, with_spread=with_spread)
    for index, chunk in row_chunks(rows, where=valid, finite_only=valid is None):
        reader.read(index, chunk)
    return reader.finish()


class _Reader:
    """Takes down what chunk after chunk of logits tells."""

    def __init__(
        self,
        rows: Rows,
        given: Ints,
        temperatures: Sequence[float | ArrayLike],
        *,
        with_spread: bool,
    ) -> None:
        n_items, n_classes = rows.shape
        kind = working_type(rows)
        self._given = given
        self._temperatures = [_positive(value, n_items) for value in temperatures]
        self._inverses = [(1.0 / each).astype(kind) for each in self._temperatures]
        self._top1 = np.full(n_items, NOT_SCORED, dtype=np.int32)
        self._top_logit, self._to_given = np.full((2, n_items), np.nan, dtype=kind)
        self._masses = [np.full(n_items, np.nan, dtype=kind) for _ in temperatures]
        self._moments = np.zeros((3, n_items), dtype=np.float32) if with_spread else None
        self._distance, self._weight = scratch_like(rows, 2)
        enough = _LISTED_BEFORE_A_MOVE if with_spread else LISTED
        self._likely = _LikelyList(n_items, self._weight, enough)
        self._starts = np.arange(len(self._weight)) * n_classes
        self._ones = np.ones(n_classes, dtype=kind)

    def read(self, index: slice | Ints, chunk: Chunk) -> None:
        """Take a chunk of rows down; one that may be written to is spoilt."""
        starts, weight = self._starts[: len(chunk)], self._weight[: len(chunk)]
        distance = chunk if chunk.flags.writeable else self._distance[: len(chunk)]
        top = chunk.argmax(axis=1)
        places = top + starts
        highest = chunk.take(places)
        np.subtract(chunk, highest[:, None], out=distance)
        self._top1[index], self._top_logit[index] = top, highest
        self._to_given[index] = distance.take(self._given[index] + starts)
        for number, (inverse, masses) in enumerate(zip(self._inverses, self._masses, strict=True)):
            _exp_scaled(distance, inverse[index][:, None] if inverse.ndim else inverse, weight)
            weight.put(places, 0.0)
            # A dot product with ones is twice as fast as a sum along the axis.
            mass = np.vecdot(weight, self._ones)
            masses[index] = mass
            if number == 0:
                self._likely.add(index, distance, weight, mass)
                self._take_moments(index, distance, weight)

    def _take_moments(self, index: slice | Ints, distance: Chunk, weight: Chunk) -> None:
        """Take down the sums of the first three powers of the distances; spoil ``weight``."""
        if self._moments is None:
            return
        self._moments[0, index] = np.vecdot(weight, distance)
        for moment in self._moments[1:]:
            np.multiply(weight, distance, out=weight)
            moment[index] = np.vecdot(weight, distance)

    def _spread(self, temperature: Floats) -> Spread | None:
        """Return the cumulants of distance / temperature, written over the moments."""
        if self._moments is None:
            return None
        for start in range(0, temperature.size, BLOCK):
            block = slice(start, start + BLOCK)
            moments = self._moments[:, block]
            mass, scale = self._masses[0][block], temperature[block]
            some = mass > 0
            mean, square, cube = np.zeros((3, mass.size))
            for power, each in enumerate((mean, square, cube)):
                np.divide(moments[power], mass * scale ** (power + 1), out=each, where=some)
            moments[0] = mean
            moments[1] = np.maximum(square - mean * mean, 0.0)
            moments[2] = cube - mean * (3.0 * square - 2.0 * mean * mean)
        return Spread(*self._moments)

    def finish(self) -> Readings:
        temperatures = [np.broadcast_to(each, self._top1.shape) for each in self._temperatures]
        return Readings(
            self._top1,
            self._top_logit,
            self._to_given,
            (self._top1 == self._given) & (self._top1 != NOT_SCORED),
            tuple(temperatures),
            tuple(self._masses),
            self._likely.finish(),
            self._spread(temperatures[0]),
        )


def _exp_scaled(distance: Chunk, factor: Chunk, out: Chunk) -> None:
    # A single number is a much faster factor than one a row, and 1 is none.
    if factor.ndim == 0 and factor == 1:
        np.exp(distance, out=out)
    else:
        np.multiply(distance, factor, out=out)
        np.exp(out, out=out)


class _LikelyList:
    """Collects the classes worth listing, and gives up where an expert finds too many likely."""

    def __init__(self, n_items: int, scratch: Chunk, enough: float) -> None:
        self._enough = enough
        room = _MOST_LIKELY_CLASSES * n_items
        # Room that is never written to takes no memory.
        self._items = np.empty(room, dtype=np.int32)
        self._classes = np.empty(room, dtype=np.min_scalar_type(scratch.shape[1]))
        self._distances = np.empty(room, dtype=scratch.dtype)
        self._n_listed = 0
        self._flags = np.zeros(-(-scratch.size // 8) * 8, dtype=np.bool_)

    def add(self, index: slice | Ints, distance: Chunk, weight: Chunk, mass: Chunk) -> None:
        """List the likely classes of a chunk: ``weight`` / (1 + ``mass``) is their probability."""
        if self._n_listed > self._items.size:
            return
        places = self._places(weight, self._enough * (1 + mass))
        begin, self._n_listed = self._n_listed, self._n_listed + places.size
        if self._n_listed > self._items.size:
            return
        rows, classes = np.divmod(places, weight.shape[1])
        here = slice(begin, self._n_listed)
        self._items[here] = rows + index.start if isinstance(index, slice) else index[rows]
        self._classes[here] = classes
        self._distances[here] = distance.take(places)

    def _places(self, weight: Chunk, enough: Chunk) -> Ints:
        """Return the flat places where ``weight`` reaches its row's ``enough``, a few of them all.

        Eight flags at once are looked at as one number, which is zero as a rule.
        """
        flags = self._flags[: -(-weight.size // 8) * 8]
        flags[weight.size :] = False
        np.greater_equal(weight, enough[:, None], out=flags[: weight.size].reshape(weight.shape))
        # Searching booleans is several times as fast as searching numbers.
        eights = np.flatnonzero(flags.view(np.uint64) != 0)
        hits = np.flatnonzero(flags.reshape(-1, 8)[eights])
        places: Ints = eights[hits >> 3] * 8 + (hits & 7)
        return places

    def finish(self) -> LikelyClasses | None:
        if self._n_listed > self._items.size:
            return None
        listed = slice(self._n_listed)
        return LikelyClasses(self._items[listed], self._classes[listed], self._distances[listed])


def _positive(temperature: float | ArrayLike, n_items: int) -> Floats:
    """Return one positive, finite temperature, shape (), or one per item, (n_items,)."""
    values = np.asarray(temperature, dtype=np.float64)
    if values.shape not in {(), (n_items,)}:
        raise ValueError(f"temperature must be one number or {n_items}, got shape {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("temperatures must be finite and positive")
    return values
