"""The two halves of a data set: fixed by seed and item key, whatever the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scoring.arrays import Mask


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
