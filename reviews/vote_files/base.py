"""What every reader of votes returns, what it looks items up in, and how it refuses."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from audit.models import Dataset


class VoteImportError(ValueError):
    """The file can't be taken: which row (the header is row 1) and why."""

    def __init__(self, reason: str, row: int | None = None, code: str = "votes") -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.code = code

    def __str__(self) -> str:
        return self.reason if self.row is None else f"row {self.row}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LoadedVote:
    """One annotator's word on one item: the ``labels`` that hold, a ``verdict``, or both.

    ``labels`` is None where the file doesn't say which classes hold, empty where none does.
    """

    item: int
    annotator: str
    labels: tuple[int, ...] | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class LoadedVotes:
    """The votes of a file in its order, and all that was made of the file on the way.

    ``notices``: what has to be said about it; ``normalised``: per spelling what it was read as and
    in how many rows; ``left_out``: rows or items that gave no vote, by reason. ``knows_annotators``
    is False where votes were only counted: then vote 1 of two items need not be one person's.
    """

    votes: list[LoadedVote]
    sha256: str
    notices: tuple[str, ...] = ()
    normalised: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    knows_annotators: bool = True


@dataclass(frozen=True, slots=True)
class VoteTarget:
    """The data set that votes are about: per item its primary key, key and given label.

    All lists are in item order; ``n_classes`` bounds the labels.
    """

    dataset: Dataset
    pks: list[int]
    keys: list[str]
    given_labels: list[int]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the items of ``dataset``."""
        rows = list(dataset.items.order_by("position").values_list("pk", "key", "given_label"))
        pks, keys, labels = (list(column) for column in zip(*rows, strict=True))
        return cls(dataset, pks, keys, labels)

    @property
    def n_classes(self) -> int:
        return self.dataset.n_classes


def read_bytes(path: Path) -> bytes:
    """Return the content of ``path``, or refuse with the system's reason."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise VoteImportError(f"{path} can't be read: {error.strerror}", code="file") from error


def hash_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def check_same_labels(n_same: int, n_items: int, meaning: str) -> None:
    """Refuse a file whose labels are mostly not the given ones: items or classes are mixed up.

    ``meaning``: what was counted, as "the file's label is the given one".
    """
    if 2 * n_same < n_items:
        raise VoteImportError(
            f"{meaning} for only {n_same:,} of {n_items:,} items: are items and classes numbered "
            "as the file expects?",
            code="labels",
        )


def describe_left_out(left_out: Counter[str]) -> dict[str, int]:
    """Return the reasons that occurred, with their counts."""
    return {reason: count for reason, count in left_out.items() if count}
