"""What chance decides at the desk: the same for one person and item, whenever it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def draw_fraction(*parts: object) -> float:
    """Return a number in [0, 1) that looks random and depends on nothing but the parts."""
    digest = blake2b("\0".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def sees_label_first(seed: int, share: float, item: int, annotator: int) -> bool:
    """Whether this annotator is shown label and experts of this item before judging it."""
    return draw_fraction(seed, "arm", item, annotator) < share


def shuffle_classes(classes: Iterable[int], seed: int, item: int, annotator: int) -> list[int]:
    """Return the classes in the order in which this annotator sees them for this item."""
    return sorted(classes, key=lambda one: draw_fraction(seed, "order", item, annotator, one))
