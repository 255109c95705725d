"""Why a calibrator could not be fitted: a reason code for programs, a sentence for people."""

from __future__ import annotations

MIN_ROWS = 30
"""A calibrator fitted on fewer rows is not worth its name."""

REASONS = (
    "empty_split",
    "too_few",
    "single_label",
    "no_signal",
    "separable",
    "worse_than_chance",
    "at_bound",
    "leak",
)


class Degenerate(ValueError):  # noqa: N818 - the field's word; it names the data, not a mistake
    """Raised by ``fit`` where the data cannot support the calibrator.

    ``reason`` is one of ``REASONS``; ``detail`` says what was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not one of {', '.join(REASONS)}")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Degenerate):
            return NotImplemented
        return (self.reason, self.detail) == (other.reason, other.detail)

    def __hash__(self) -> int:
        return hash((self.reason, self.detail))


def check_enough_rows(n_rows: int) -> None:
    """Raise ``Degenerate`` unless there are at least ``MIN_ROWS`` rows."""
    if n_rows == 0:
        raise Degenerate("empty_split", "no item has both a label and scores")
    if n_rows < MIN_ROWS:
        raise Degenerate("too_few", f"{n_rows} items, at least {MIN_ROWS} are needed")
