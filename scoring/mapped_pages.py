"""Reading memory-mapped files without keeping them in memory: pages are given back once used.

A mapped file that has been read through counts as this process's memory until somebody takes it
away. Reading one pass after another, nobody needs the pages before: the file cache keeps them.
"""

from __future__ import annotations

import mmap
from typing import Any

from numpy.typing import NDArray

_SHARED_MODES = ("r", "r+")  # pages of a private ("c") map may hold changes that no file has


def release_pages(rows: NDArray[Any]) -> None:
    """Give all memory pages back of the file map that ``rows`` is a part of.

    Reading again still works and maps the pages anew. All of them are meant, because the system
    maps more than was touched, before and behind. Arrays that are no part of a shared file map
    are left alone.
    """
    array: Any = rows
    while array is not None and not isinstance(getattr(array, "base", None), mmap.mmap):
        array = getattr(array, "base", None)
    # Windows has no such advice and takes pages away by itself.
    if getattr(array, "mode", None) in _SHARED_MODES and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
