"""The two halves of a data set: fixed by seed and item key, whatever the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scoring.arrays import Mask
from scoring.degenerate import Degenerate


def in_half_a(keys: Sequence[str], seed: int) -> Mask:
    """Return which items lie in half A, shape (n_items,).

    Each key is hashed on its own together with ``seed``, so an item stays in its half when others
    come, go or change places. The halves have the same size in expectation only (Section 2.1).
    """
    seeded = blake2b(f"half:{seed}:".encode(), digest_size=8)
    low_bits = np.empty(len(keys), dtype=np.uint8)
    for position, key in enumerate(keys):
        digest = seeded.copy()
        digest.update(key.encode("utf-8", "surrogatepass"))
        low_bits[position] = digest.digest()[0] & 1
    half_a: Mask = low_bits == 0
    return half_a


def check_no_leak(fitted_keys: Sequence[str], scored_keys: Sequence[str]) -> None:
    """Raise ``Degenerate`` if an item that a calibrator was fitted on is also to be scored by it.

    The halves of one data set never overlap; keys from elsewhere may.
    """
    shared = sorted(set(fitted_keys).intersection(scored_keys))
    if shared:
        some = ", ".join(shared[:3])
        raise Degenerate("leak", f"{len(shared)} items are both fitted and scored, as {some}")
