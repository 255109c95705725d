"""A part of the rows, taken in small blocks from all over them, that reads like all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Ints, Rows
from scoring.mapped_pages import PagesRead

_BLOCK = 32  # rows: what is next to each other on disk is often alike, as in folders of classes


class RowSample:
    """Evenly spaced blocks of rows as ``Rows`` of shape (n_taken, n_classes)."""

    def __init__(self, rows: Rows, n_wanted: int) -> None:
        n_items, n_classes = rows.shape
        self._rows = rows
        n_blocks = max(1, min(n_wanted, n_items) // _BLOCK)
        self._starts: list[int] = (
            np.linspace(0, max(n_items - _BLOCK, 0), n_blocks).astype(np.int64).tolist()
        )
        self.shape = (n_blocks * min(_BLOCK, n_items), n_classes)
        self.dtype = np.dtype(rows.dtype)

    @property
    def positions(self) -> Ints:
        """Where each row lies among all rows, (n_taken,)."""
        size = self.shape[0] // len(self._starts)
        positions: Ints = (np.array(self._starts)[:, None] + np.arange(size)).ravel()
        return positions

    def __getitem__(self, span: slice) -> NDArray[Any]:
        begin, end, _ = span.indices(self.shape[0])
        size = self.shape[0] // len(self._starts)
        first = begin // size
        starts = self._starts[first : -(-end // size)]
        taken = np.empty((len(starts) * size, self.shape[1]), dtype=self.dtype)
        pages = PagesRead()
        for place, start in enumerate(starts):
            block = self._rows[start : start + size]
            taken[place * size : (place + 1) * size] = block
            pages.add(block)
        pages.release()
        return taken[begin - first * size : max(begin, end) - first * size]
