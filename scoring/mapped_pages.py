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
    """Give the memory pages back that lie behind ``rows``, a contiguous slice of a memory map.

    Reading ``rows`` again still works and maps the same pages anew. Arrays that are no part of a
    shared file map are left alone.
    """
    mapped = _whole_map(rows)
    if mapped is None or not rows.flags.c_contiguous or rows.size == 0:
        return
    pages: Any = mapped.base
    if not hasattr(pages, "madvise"):  # as on Windows
        return
    # The map begins at the allocation boundary before the array's first byte.
    lead = mapped.offset % mmap.ALLOCATIONGRANULARITY
    first = _address(rows) - _address(mapped) + lead
    start = first - first % mmap.PAGESIZE
    pages.madvise(mmap.MADV_DONTNEED, start, min(first + rows.nbytes, len(pages)) - start)


def _whole_map(rows: NDArray[Any]) -> Any:
    """Return the shared memory map (numpy.memmap) that ``rows`` is a view of, or None."""
    array: Any = rows
    while array is not None and not isinstance(getattr(array, "base", None), mmap.mmap):
        array = getattr(array, "base", None)
    return array if getattr(array, "mode", None) in _SHARED_MODES else None


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
