"""Which class an item confidently belongs to: the two collision rules, and how results are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Chunk, Floats, Ints, Mask

Collision: TypeAlias = Literal["candidates", "cleanlab"]
COLLISIONS: tuple[Collision, ...] = ("candidates", "cleanlab")

_CLEANLAB_SLACK = 1e-6  # cleanlab.count.compute_confident_joint subtracts it from each threshold
_ROUNDING = {4: 1e-6, 8: 1e-9}  # a mean of equal numbers may exceed them by some last digits

LARGEST_SLACK = max(_CLEANLAB_SLACK, *_ROUNDING.values())
"""No rule relaxes a threshold by more."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Items, the class that each confidently belongs to, and its probability; all (n_found,)."""

    items: Ints
    classes: Ints
    chances: Chunk

    def take(self, kept: Mask | Ints) -> Self:
        """Return those marked in ``kept`` (n_found,), or at these places."""
        return type(self)(self.items[kept], self.classes[kept], self.chances[kept])

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the suggestions of all parts, one after the other."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(
            np.concatenate([nothing, *(part.items for part in parts)]),
            np.concatenate([nothing, *(part.classes for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.chances for part in parts)]),
        )


def relaxed(thresholds: Floats, collision: Collision, kind: np.dtype[Any]) -> Chunk:
    """Return the thresholds less the slack that a rule grants, in the probabilities' type."""
    rounding = _ROUNDING[8 if kind.itemsize > 4 else 4]
    slack = _CLEANLAB_SLACK if collision == "cleanlab" else rounding
    return (thresholds - slack).astype(kind)


def likeliest(items: Ints, classes: Ints, chances: NDArray[Any]) -> Suggestions:
    """Return each item's most probable class, the lowest on ties, by rising item."""
    order = np.lexsort((classes, -chances, items))
    first = order[np.diff(items[order], prepend=-1) > 0]
    return Suggestions(items[first], classes[first], chances[first])
