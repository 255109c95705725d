"""Find the batch size at which a device is fastest, by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Powers of two that leave a chunk of 256 pictures at least two batches: one is read while the
# other is computed.
SIZES = (8, 16, 32, 64, 128)
# A larger batch has to be worth its memory.
WORTH = 1.05


def find_fastest(time_batch: Callable[[int], float | None], sizes: Sequence[int] = SIZES) -> int:
    """Return the batch size to use: larger ones are taken where they are 5 % faster a picture.

    ``time_batch`` returns the seconds a batch of so many pictures takes, None where it does not
    fit the memory; then no larger one is tried. The smallest is the answer where none fits.
    """
    best, best_rate = sizes[0], 0.0
    for size in sizes:
        seconds = time_batch(size)
        if seconds is None:
            break
        if size / seconds > WORTH * best_rate:
            best, best_rate = size, size / seconds
    return best
