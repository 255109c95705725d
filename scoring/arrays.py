"""The one boundary that checks arrays; everything behind it trusts what it is given.

Logits may be larger than memory: they are read as ``Rows``, a few hundred rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Chunk: TypeAlias = NDArray[np.floating[Any]]

CHUNK_ELEMENTS = 256 * 1024
"""Elements read at once: 1 MB of float32, so one chunk and its scratch space stay in the cache."""

NOT_SCORED = -1
"""The class index that stands for "this expert has no scores for this item"."""

_HALF_TO_SINGLE = np.float32(2.0**112)  # float32's exponent bias (127) less float16's (15)
_SIGN_AND_MAGNITUDE = np.int32(-0x70002000)  # the bits 0x8fffe000


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
    indices = given.astype(np.int64)
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


def widen_half(half: NDArray[np.float16], out: NDArray[np.float32] | None = None) -> Chunk:
    """Return ``half`` as float32, exactly, several times faster than numpy's own cast.

    The sign, exponent and fraction move to float32's places as integers; one multiplication by a
    power of two corrects the exponent, which also makes subnormal numbers normal.
    """
    if out is None:
        out = np.empty(half.shape, dtype=np.float32)
    bits = half.view(np.int16)
    wide = out.view(np.int32)
    np.copyto(wide, bits)
    np.left_shift(wide, 13, out=wide)
    np.bitwise_and(wide, _SIGN_AND_MAGNITUDE, out=wide)
    np.multiply(out, _HALF_TO_SINGLE, out=out)
    # Infinity and NaN come out as finite numbers of 65,536 and more, which no float16 can hold.
    if out.size and max(out.max(), -out.min()) >= np.float32(65536):
        special = np.abs(out) >= np.float32(65536)
        out[special] = half[special].astype(np.float32)
    return out


def row_chunks(
    rows: Rows,
    size: int | None = None,
    where: Mask | None = None,
) -> Iterator[tuple[slice | Ints, Chunk]]:
    """Yield ``(index, chunk)``: consecutive rows as float32, or float64 if that is what is stored.

    ``where`` (n_items,) keeps only the marked rows; ``index`` then lists their positions, else it
    is a slice. A chunk is read-only for the caller and valid until the next one is asked for.
    """
    n_items, n_classes = rows.shape
    size = size or chunk_rows(n_classes)
    stored = np.dtype(rows.dtype)
    buffer = np.empty((min(size, n_items), n_classes), np.float32) if stored == np.float16 else None
    for start in range(0, n_items, size):
        span = slice(start, min(start + size, n_items))
        index: slice | Ints = span
        chunk = rows[span]
        if where is not None and not where[span].all():
            kept = np.flatnonzero(where[span])
            if kept.size == 0:
                continue
            index, chunk = kept + start, chunk[kept]
        if buffer is not None and chunk.dtype.isnative:
            yield index, widen_half(np.ascontiguousarray(chunk), buffer[: len(chunk)])
        else:
            yield index, np.ascontiguousarray(chunk, dtype=working_type(rows))


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


def working_type(rows: Rows) -> np.dtype[Any]:
    """Return the type that chunks of ``rows`` come in: float32, or float64 for wider numbers."""
    return np.dtype(np.float64 if np.dtype(rows.dtype).itemsize > 4 else np.float32)


def finite_rows(rows: Rows) -> Mask:
    """Return which rows hold only finite numbers, shape (n_items,), in one streaming pass.

    A row with NaN marks an item that the expert could not score; it is excluded, never imputed.
    """
    finite = np.ones(rows.shape[0], dtype=np.bool_)
    zeros = np.zeros(rows.shape[1], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        for span, chunk in row_chunks(rows):
            # Zero times NaN or infinity is NaN: one matrix-vector product looks at every entry.
            finite[span] = np.isfinite(chunk @ zeros.astype(chunk.dtype, copy=False))
    return finite


def valid_rows(rows: Rows, valid: ArrayLike | None) -> Mask:
    """Return the caller's ``valid`` mask, checked, or derive it from the rows."""
    return finite_rows(rows) if valid is None else as_mask(valid, rows.shape[0])
