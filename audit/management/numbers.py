"""Options that are whole numbers within limits; of Django it needs nothing."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return what reads an option that is a whole number from minimum to maximum."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= 12
        if not is_number or not minimum <= int(text) <= maximum:
            raise ArgumentTypeError(
                f"a whole number from {minimum} to {maximum}, not {text[:40]!r}"
            )
        return int(text)

    return read
