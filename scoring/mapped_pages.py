"""Reading memory-mapped files without keeping them in memory: pages are given back once used.

A mapped file that has been read through counts as this process's memory until somebody takes it
away. Reading one pass after another, nobody needs the pages before: the file cache keeps them.
"""

from __future__ import annotations

import mmap
from typing import Any

from numpy.typing import NDArray

_SHARED_MODES = ("r", "r+")  # pages of a private ("c") map may hold changes that no file has
_KEPT_BYTES = 2 * 1024 * 1024  # asking the system more often costs more than the memory is worth


class PagesRead:
    """The file maps that have been read from lately; gives their pages back now and then."""

    def __init__(self) -> None:
        self._maps: dict[int, mmap.mmap] = {}
        self._n_bytes = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Take note that ``rows``, which may be part of a file map, are not needed any more."""
        found = _find_map(rows)
        if found is None:
            return
        self._maps[id(found)] = found
        self._n_bytes += rows.nbytes
        if self._n_bytes >= _KEPT_BYTES:
            self.release()

    def release(self) -> None:
        """Give all pages back. Reading again still works and maps them anew.

        All of them are meant, because the system maps more than was touched, before and behind.
        """
        for found in self._maps.values():
            found.madvise(mmap.MADV_DONTNEED)
        self._maps.clear()
        self._n_bytes = 0


def release_pages(rows: NDArray[Any]) -> None:
    """Give all memory pages back of the file map that ``rows`` is a part of, if it is one."""
    pages = PagesRead()
    pages.add(rows)
    pages.release()


def _find_map(rows: NDArray[Any]) -> mmap.mmap | None:
    """Return the shared file map that ``rows`` is a part of."""
    array: Any = rows
    while array is not None and not isinstance(getattr(array, "base", None), mmap.mmap):
        array = getattr(array, "base", None)
    # Windows has no such advice and takes pages away by itself.
    if getattr(array, "mode", None) in _SHARED_MODES and hasattr(mmap, "MADV_DONTNEED"):
        found: mmap.mmap = array.base
        return found
    return None
