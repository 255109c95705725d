"""Names of forms of votes and the readers behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reviews.vote_files.base import LoadedVotes, VoteTarget
from reviews.vote_files.label_errors import read_label_errors
from reviews.vote_files.mmlu_redux import read_mmlu_redux
from reviews.vote_files.real_labels import read_real_labels
from reviews.vote_files.table import read_table

Reader = Callable[[Path | None, VoteTarget], LoadedVotes]

PRESETS: dict[str, Reader] = {
    "real": read_real_labels,
    "label-errors": read_label_errors,
    "mmlu-redux": read_mmlu_redux,
}


def read_votes(path: Path | None, target: VoteTarget, preset: str = "") -> LoadedVotes:
    """Return the votes in ``path``: a CSV of our own, or the public file that ``preset`` names."""
    reader = PRESETS[preset] if preset else read_table
    return reader(path, target)
