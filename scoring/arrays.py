"""The one boundary that checks arrays; everything behind it trusts what it is given.

Logits may be larger than memory: they are read as ``Rows``, a few hundred rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.mapped_pages import PagesRead

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Chunk: TypeAlias = NDArray[np.floating[Any]]

CHUNK_ELEMENTS = 128 * 1024
"""Elements read at once: half a MB of float32, so one chunk and its scratch stay in the cache."""

NOT_SCORED = -1
"""The class index that stands for "this expert has no scores for this item"."""

_HALF_TO_SINGLE = np.float32(2.0**112)  # float32's exponent bias (127) less float16's (15)
_SIGN_AND_MAGNITUDE = np.int32(-0x70002000)  # the bits 0x8fffe000
_HALF_INFINITY = 0x7C00  # all of float16's exponent bits
_HALF_SIGN = 0x8000


@runtime_checkable
class Rows(Protocol):
    """A matrix of shape (n_items, n_classes) that hands out slices of rows as arrays.

    numpy arrays and memory maps are ``Rows``; so is any reader that joins several files.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


def as_rows(values: Rows | ArrayLike) -> Rows:
    """Return ``values`` as real-valued rows of shape (n_items, n_classes >= 2), without copying."""
    rows = values if isinstance(values, Rows) else cast("Rows", np.asarray(values))
    if len(rows.shape) != 2 or rows.shape[1] < 2:
        raise ValueError(f"logits must be (n_items, n_classes >= 2), got {tuple(rows.shape)}")
    if np.dtype(rows.dtype).kind not in "fiu":
        raise ValueError(f"logits must be real numbers, got dtype {rows.dtype}")
    return rows


def as_labels(labels: ArrayLike, n_items: int, n_classes: int, valid: Mask | None = None) -> Ints:
    """Return ``labels`` as class indices (n_items,), each in [0, n_classes) where valid."""
    given = np.asarray(labels)
    if given.shape != (n_items,):
        raise ValueError(f"labels must have shape ({n_items},), got {given.shape}")
    if given.size and given.dtype.kind not in "iu":
        raise ValueError(f"labels must be integer class indices, got dtype {given.dtype}")
    indices = given.astype(np.int64, copy=False)
    used = indices if valid is None else indices[valid]
    if used.size and (used.min() < 0 or used.max() >= n_classes):
        raise ValueError(
            f"labels must lie in [0, {n_classes}), got {used.min()} to {used.max()}",
        )
    return indices


def as_mask(mask: ArrayLike, n_items: int, name: str = "valid") -> Mask:
    """Return ``mask`` as booleans of shape (n_items,)."""
    checked = np.asarray(mask)
    if checked.shape != (n_items,) or (checked.size and checked.dtype != np.bool_):
        raise ValueError(
            f"{name} must be {n_items} booleans, got {checked.dtype} of shape {checked.shape}",
        )
    return checked.astype(np.bool_, copy=False)


def as_vector(values: ArrayLike, name: str) -> Floats:
    """Return ``values`` as finite float64 of shape (n_items,)."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return vector


def as_fractions(values: ArrayLike, name: str) -> Floats:
    """Return ``values`` as float64 of shape (n_items,), each in [0, 1]."""
    fractions = as_vector(values, name)
    if fractions.size and (fractions.min() < 0 or fractions.max() > 1):
        raise ValueError(
            f"{name} must lie in [0, 1], got {fractions.min()} to {fractions.max()}",
        )
    return fractions


def key_ranks(keys: ArrayLike | Sequence[str] | None, n_items: int) -> Ints:
    """Return the rank of each item's key, shape (n_items,): the tie-break of every sort.

    Keys are strings or integers. Without keys the position is the key. Ranks are themselves
    keys, so a caller who sorts often computes them once and passes them on.
    """
    if keys is None:
        return np.arange(n_items)
    names = np.asarray(keys)
    if names.dtype == object:
        names = np.asarray(names.tolist())
    if names.shape != (n_items,):
        raise ValueError(f"keys must have shape ({n_items},), got {names.shape}")
    if names.dtype.kind in "iu":
        return names.astype(np.int64)
    ranks = np.empty(n_items, dtype=np.int64)
    ranks[np.argsort(names, kind="stable")] = np.arange(n_items)
    return ranks


def rising_order(values: NDArray[Any], ties: Ints) -> Ints:
    """Return the order of rising ``values`` (n,), equal ones by rising ``ties`` (n,).

    numpy.lexsort gives the same, but a sort that need not be stable is four times as fast.
    """
    order = np.argsort(values)
    ranked = values[order]
    is_same = ranked[1:] == ranked[:-1]
    if is_same.any():
        tied = np.flatnonzero(np.append(is_same, False) | np.append(False, is_same))
        some = order[tied]
        order[tied] = some[np.lexsort((ties[some], ranked[tied]))]
    return order


def widen_half(
    half: NDArray[np.float16],
    out: NDArray[np.float32] | None = None,
    *,
    is_finite: bool = False,
) -> Chunk:
    """Return ``half`` as float32, exactly, several times faster than numpy's own cast.

    The sign, exponent and fraction move to float32's places as integers; one multiplication by a
    power of two corrects the exponent, which also makes subnormal numbers normal. Where all are
    known to be finite, nobody looks for those that are not.
    """
    if out is None:
        out = np.empty(half.shape, dtype=np.float32)
    bits = half.view(np.int16)
    wide = out.view(np.int32)
    np.copyto(wide, bits)
    np.left_shift(wide, 13, out=wide)
    np.bitwise_and(wide, _SIGN_AND_MAGNITUDE, out=wide)
    np.multiply(out, _HALF_TO_SINGLE, out=out)
    if not (is_finite or _is_finite_half(half)):
        special = ~np.isfinite(half)
        out[special] = half[special].astype(np.float32)
    return out


def _is_finite_half(half: NDArray[np.float16]) -> bool:
    """Return whether no exponent has all its bits set, which would mean NaN or infinity.

    As an unsigned number a negative float16 is larger than any positive one, so that two searches
    for the largest number see both signs.
    """
    return half.size == 0 or bool(
        half.view(np.int16).max() < _HALF_INFINITY
        and half.view(np.uint16).max() < _HALF_SIGN + _HALF_INFINITY
    )


def row_chunks(
    rows: Rows,
    size: int | None = None,
    where: Mask | None = None,
    *,
    finite_only: bool = False,
) -> Iterator[tuple[slice | Ints, Chunk]]:
    """Yield ``(index, chunk)``: consecutive rows as float32, or float64 if that is what is stored.

    ``where`` (n_items,) keeps only the marked rows, ``finite_only`` those without NaN or infinity;
    ``index`` then lists their positions, else it is a slice. A chunk is valid until the next one
    is asked for. A writable chunk is a copy that the caller may spoil; a read-only one is the data
    itself.
    """
    kind = working_type(rows)
    size = size or chunk_rows(rows.shape[1])
    buffer: Chunk | None = None
    for every, whole in stored_chunks(rows, size, where):
        index, stored = every, whole
        if finite_only and not _is_finite(stored):
            kept = np.flatnonzero(_finite_rows(stored))
            index, stored = _positions(index)[kept], stored[kept]
        if not len(stored):
            continue
        if stored.dtype == kind and stored.flags.c_contiguous:
            chunk = stored.view(np.ndarray)
            chunk.flags.writeable = isinstance(index, np.ndarray)
            yield index, chunk
            continue
        if buffer is None:
            buffer = np.empty((min(size, rows.shape[0]), rows.shape[1]), dtype=kind)
        chunk = buffer[: len(stored)]
        if stored.dtype == np.float16:
            widen_half(np.ascontiguousarray(stored), chunk, is_finite=finite_only)
        else:
            np.copyto(chunk, stored, casting="unsafe")
        yield index, chunk


def stored_chunks(
    rows: Rows,
    size: int | None = None,
    where: Mask | None = None,
) -> Iterator[tuple[slice | Ints, NDArray[Any]]]:
    """Yield ``(index, chunk)`` like ``row_chunks``, but in the type in which they are stored.

    The pages of memory-mapped files are given back every now and then, so that a file of any size
    costs hardly any memory.
    """
    n_items, n_classes = rows.shape
    size = size or chunk_rows(n_classes)
    pages = PagesRead()
    try:
        for start in range(0, n_items, size):
            span = slice(start, min(start + size, n_items))
            if where is None or where[span].all():
                chunk = rows[span]
                yield span, chunk
            elif (kept := np.flatnonzero(where[span])).size:
                chunk = rows[span]
                yield kept + start, chunk[kept]
            else:
                continue
            pages.add(chunk)
    finally:
        pages.release()


def _positions(index: slice | Ints) -> Ints:
    return np.arange(index.start, index.stop) if isinstance(index, slice) else index


def chunk_rows(n_classes: int) -> int:
    """Return how many rows of ``n_classes`` columns one chunk holds."""
    return max(1, CHUNK_ELEMENTS // n_classes)


def scratch_like(rows: Rows, n_arrays: int) -> list[Chunk]:
    """Return ``n_arrays`` empty arrays, each as large and as precise as a chunk of ``rows``.

    Fresh memory for every intermediate result would cost more than the arithmetic on it.
    """
    n_items, n_classes = rows.shape
    shape = (min(n_items, chunk_rows(n_classes)), n_classes)
    return [np.empty(shape, dtype=working_type(rows)) for _ in range(n_arrays)]


def row_sums(chunk: Chunk) -> Floats:
    """Return the sum of every row, shape (n_rows,).

    A dot product with ones is twice as fast as a sum along the axis. One product of the matrix
    with a vector would be faster still, but its rounding depends on a row's place in the chunk.
    """
    sums: Floats = np.vecdot(chunk, np.ones(chunk.shape[1], dtype=chunk.dtype)).astype(np.float64)
    return sums


def working_type(rows: Rows) -> np.dtype[Any]:
    """Return the type that chunks of ``rows`` come in: float32, or float64 for wider numbers."""
    return np.dtype(np.float64 if np.dtype(rows.dtype).itemsize > 4 else np.float32)


def finite_rows(rows: Rows) -> Mask:
    """Return which rows hold only finite numbers, shape (n_items,), in one streaming pass.

    A row with NaN marks an item that the expert could not score; it is excluded, never imputed.
    """
    finite = np.ones(rows.shape[0], dtype=np.bool_)
    for index, chunk in stored_chunks(rows):
        if not _is_finite(chunk):
            finite[index] = _finite_rows(chunk)
    return finite


def _is_finite(chunk: NDArray[Any]) -> bool:
    """Return whether all numbers of a stored chunk are finite."""
    if chunk.dtype == np.float16 and chunk.flags.c_contiguous:
        return _is_finite_half(chunk)
    return bool(_finite_rows(chunk).all())


def _finite_rows(chunk: NDArray[Any]) -> Mask:
    """Return which rows of a stored chunk hold only finite numbers, (n_rows,)."""
    if chunk.dtype == np.float16:
        half: Mask = np.isfinite(chunk).all(axis=1)
        return half
    kind = np.float64 if chunk.dtype.itemsize > 4 else np.float32
    with np.errstate(invalid="ignore"):
        # Zero times NaN or infinity is NaN: one product looks at every entry of a row.
        product = chunk.astype(kind, copy=False) @ np.zeros(chunk.shape[1], dtype=kind)
    finite: Mask = np.isfinite(product)
    return finite


def valid_rows(rows: Rows, valid: ArrayLike | None) -> Mask:
    """Return the caller's ``valid`` mask, checked, or derive it from the rows."""
    return finite_rows(rows) if valid is None else as_mask(valid, rows.shape[0])
