"""Rows of a batch: the tokens of one question laid out for one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scoring.experts.question_tokens import AskedQuestion, Tokens

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Row:
    """A question's tokens behind a shared beginning: the rest of the trunk, then the branches.

    ``wanted`` are the places whose predictions count, ``targets`` the tokens they should predict
    and ``choices`` the choice each counts for; the last two are empty where letters are scored.
    """

    place: int
    n_before: int
    trunk: Tokens
    branches: tuple[Tokens, ...]
    wanted: tuple[int, ...]
    targets: Tokens
    choices: tuple[int, ...]

    @classmethod
    def of(cls, asked: AskedQuestion, n_before: int, chosen: Sequence[int] | None = None) -> Self:
        """Lay out a question whose first ``n_before`` tokens are read already.

        With only the branches ``chosen``, others are left to further rows.
        """
        trunk = asked.trunk[n_before:]
        numbers = range(len(asked.branches)) if chosen is None else chosen
        branches = tuple(asked.branches[number].tokens for number in numbers)
        wanted: list[int] = []
        targets: list[int] = []
        choices: list[int] = []
        start = len(trunk)
        for number in numbers:
            branch = asked.branches[number]
            for offset in range(len(branch.tokens) - branch.n_scored, len(branch.tokens)):
                # A token is predicted by the one before it: the trunk's last for a branch's first.
                wanted.append(start + offset - 1 if offset else len(trunk) - 1)
                targets.append(branch.tokens[offset])
                choices.append(number)
            start += len(branch.tokens)
        return cls(
            asked.place,
            n_before,
            trunk,
            branches,
            tuple(wanted) or (len(trunk) - 1,),
            tuple(targets),
            tuple(choices),
        )

    @property
    def tokens(self) -> Tokens:
        """All tokens in the order they are laid out."""
        return self.trunk + tuple(token for branch in self.branches for token in branch)

    @property
    def is_plain(self) -> bool:
        """Whether every token follows the one before it: no two branches side by side."""
        return len(self.branches) < 2

    def __len__(self) -> int:
        return len(self.trunk) + sum(len(branch) for branch in self.branches)

    def positions(self) -> NDArray[np.int64]:
        """Return where each token stands in its text, the shared beginning counted."""
        trunk = np.arange(len(self.trunk))
        branches = [len(self.trunk) + np.arange(len(branch)) for branch in self.branches]
        return self.n_before + np.concatenate([trunk, *branches])

    def visibility(self) -> Mask:
        """Return which token (column) each token (row) sees: the trunk so far, its own branch."""
        seen = np.tri(len(self), dtype=np.bool_)
        start = len(self.trunk)
        for branch in self.branches:
            stop = start + len(branch)
            seen[stop:, start:stop] = False
            start = stop
        return seen


def cut_batches(rows: Sequence[Row], max_tokens: int, max_rows: int) -> Iterator[list[Row]]:
    """Yield the rows from short to long, as many at a time as ``max_tokens`` with padding hold."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (len(row), row.place, row.choices)):
        if batch and (len(batch) == max_rows or (len(batch) + 1) * len(row) > max_tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
