"""Scores of the likeliest classes alone: what is missing is spread evenly over all the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse

SUM_TOLERANCE = 1e-2  # float16 probabilities sum to 1 within this
SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class TopK:
    """The ``classes`` (n_items, k) an expert finds likeliest, and their ``probabilities``.

    Rows are in any order of likelihood; no class may be more likely than a listed one.
    """

    classes: NDArray[Any]
    probabilities: NDArray[Any]
    n_classes: int

    @property
    def k(self) -> int:
        return int(self.classes.shape[1])

    @property
    def notice(self) -> str:
        return (
            f"only the {self.k} likeliest of {self.n_classes} classes are known; the rest of the "
            "probability is spread evenly over the others"
        )

    def spread(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the logarithms of all classes' probabilities, (n_rows, n_classes)."""
        listed = np.maximum(self.probabilities[rows].astype(np.float64), SMALLEST_PROBABILITY)
        others = self._share_of_others(self.probabilities[rows])
        full = np.repeat(np.maximum(others, SMALLEST_PROBABILITY)[:, None], self.n_classes, axis=1)
        np.put_along_axis(full, self.classes[rows].astype(np.int64), listed, axis=1)
        logs: NDArray[np.float64] = np.log(full)
        return logs

    def _share_of_others(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each class that is not listed, (n_rows,)."""
        missing = np.maximum(1.0 - block.astype(np.float64).sum(axis=1), 0.0)
        shared: NDArray[np.float64] = missing / max(self.n_classes - self.k, 1)
        return shared

    def check(self, rows_per_read: int) -> None:
        """Refuse rows that are no top-k list, by row from 0."""
        if self.classes.ndim != 2 or self.classes.shape != self.probabilities.shape:
            message = (
                f"classes {self.classes.shape} and probabilities {self.probabilities.shape} must "
                "both be (items, k)"
            )
            raise refuse("shape", message)
        if not 1 <= self.k <= self.n_classes:
            raise refuse("class_count", f"k = {self.k}, the data set has {self.n_classes} classes")
        problems = ProblemList()
        for start in range(0, len(self.classes), rows_per_read):
            rows = slice(start, start + rows_per_read)
            for row, code, message in self._problems(rows):
                problems.add(start + row, "", code, f"{message} (rows count from 0)")
        problems.raise_if_any()

    def _problems(self, rows: slice) -> list[tuple[int, str, str]]:
        classes, block = self.classes[rows], self.probabilities[rows].astype(np.float64)
        outside = ((classes < 0) | (classes >= self.n_classes)).any(axis=1)
        twice = (np.diff(np.sort(classes, axis=1), axis=1) == 0).any(axis=1)
        bad = ~((block >= 0) & (block <= 1 + SUM_TOLERANCE)).all(axis=1)
        with np.errstate(invalid="ignore"):
            total = block.sum(axis=1)
            least = block.min(axis=1)
            off = ~bad & (total > 1 + SUM_TOLERANCE)
            if self.k == self.n_classes:
                off |= ~bad & (total < 1 - SUM_TOLERANCE)
            # Sums of rounded numbers: a real list passes by far.
            hidden = ~bad & ~off & (self._share_of_others(block) > 1.01 * least + 1e-3)
        found = [
            (outside, "class_count", f"a class outside 0 to {self.n_classes - 1}"),
            (twice, "duplicate_column", "a class is listed twice"),
            (bad, "probability_range", "NaN or a value outside 0 to 1"),
            (off, "probability_sum", "probabilities do not sum to 1 at most"),
            (hidden, "probability_sum", "other classes would be likelier than the listed ones"),
        ]
        return [
            (int(row), code, message)
            for is_bad, code, message in found
            for row in np.flatnonzero(is_bad)
        ]
