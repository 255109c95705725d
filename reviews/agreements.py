"""How far the people, or outside annotators, behind a truth agree. No arithmetic here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scoring.agreement import (
    NO_VOTE,
    cohen_kappa,
    count_votes,
    dawid_skene,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)
from scoring.arrays import Ints

MIN_ANNOTATORS = 3
MAX_CELLS = 1_000_000
POSTERIOR_ERROR = 0.5

N_COMPARED = 12
"""Annotators compared in pairs, those with most votes first: hundreds would make 10,000s."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Every sure vote on an item: is its label an error (1) or not (0), by the policy.

    ``position``, ``annotator`` and ``is_error`` have shape (n_votes,); an annotator is an index
    into ``annotators``, their names. Unsure votes are left out, as if not given.
    ``knows_annotators`` is False where a name is not one person on all items.
    """

    position: Ints
    annotator: Ints
    is_error: Ints
    annotators: tuple[str, ...]
    knows_annotators: bool = True

    @classmethod
    def of(cls, said: list[tuple[int, str, bool | None]], *, knows_annotators: bool = True) -> Self:
        """Return the sure ones among votes of (position, annotator, is an error)."""
        sure = [vote for vote in said if vote[2] is not None]
        names = sorted({name for _, name, _ in sure})
        number = {name: place for place, name in enumerate(names)}
        return cls(
            position=np.array([position for position, _, _ in sure], dtype=np.int64),
            annotator=np.array([number[name] for _, name, _ in sure], dtype=np.int64),
            is_error=np.array([is_error for _, _, is_error in sure], dtype=np.int64),
            annotators=tuple(names),
            knows_annotators=knows_annotators,
        )

    def by_item(self) -> Ints:
        """Return the votes per item, (n_items voted on, most votes on one), whoever gave them."""
        _, item, counts = np.unique(self.position, return_inverse=True, return_counts=True)
        order = np.argsort(item, kind="stable")
        first = np.cumsum(counts) - counts
        place = np.arange(item.size) - first[item[order]]
        matrix = np.full((counts.size, int(counts.max(initial=0))), NO_VOTE)
        matrix[item[order], place] = self.is_error[order]
        return matrix

    def by_annotator(self, chosen: Ints) -> Ints:
        """Return the votes of the ``chosen`` annotators, (n_items voted on, n_chosen)."""
        items, item = np.unique(self.position, return_inverse=True)
        matrix = np.full((items.size, chosen.size), NO_VOTE)
        for column, annotator in enumerate(chosen):
            theirs = self.annotator == annotator
            matrix[item[theirs], column] = self.is_error[theirs]
        return matrix


def describe_agreement(votes: Votes) -> dict[str, Any]:
    """Return the coefficients of the votes, and Cohen's kappa of every two annotators.

    Each is None where the votes leave it undefined; a pair counts if the two share an item, and
    if it is known who they are.
    """
    by_item = votes.by_item()
    n_votes = np.bincount(votes.annotator, minlength=len(votes.annotators))
    n_compared = N_COMPARED if votes.knows_annotators else 0
    chosen = np.sort(np.argsort(-n_votes, kind="stable")[:n_compared])
    columns = votes.by_annotator(chosen).T
    pairs = []
    for one in range(chosen.size):
        for other in range(one + 1, chosen.size):
            a, b = columns[one], columns[other]
            n_shared = int(((a != NO_VOTE) & (b != NO_VOTE)).sum())
            if n_shared:
                names = votes.annotators[chosen[one]], votes.annotators[chosen[other]]
                pairs.append(
                    {"a": names[0], "b": names[1], "items": n_shared, "kappa": cohen_kappa(a, b)}
                )
    return {
        "annotators": len(votes.annotators) if votes.knows_annotators else None,
        "raw": raw_agreement(by_item),
        "krippendorff_alpha": krippendorff_alpha(by_item),
        "gwet_ac1": gwet_ac1(by_item, 2),
        "pairwise_kappas": pairs,
        "dawid_skene": _describe_dawid_skene(votes),
    }


def _describe_dawid_skene(votes: Votes) -> dict[str, Any] | None:
    """Return what Dawid and Skene's model makes of who voted how, None where it can't tell.

    It needs three annotators that are known, each with votes beside others'; a vote of a cell
    nobody has seen counts half (``pseudo_count``), or three votes would make annotators perfect.
    """
    n_votes = np.bincount(votes.annotator, minlength=len(votes.annotators))
    n_items = np.unique(votes.position).size
    enough = votes.knows_annotators and n_votes.size >= MIN_ANNOTATORS
    if not enough or n_votes.size * n_items > MAX_CELLS:
        return None
    everybody = np.arange(n_votes.size)
    by_annotator = votes.by_annotator(everybody)
    fitted = dawid_skene(by_annotator, 2, pseudo_count=0.5)
    says_error = fitted.posterior[:, 1] > POSTERIOR_ERROR
    counts = count_votes(by_annotator, 2)
    return {
        "errors": float(fitted.prior[1]),
        "decided_otherwise": int((says_error != (counts[:, 1] > counts[:, 0])).sum()),
        "annotators": [
            {
                "name": votes.annotators[number],
                "votes": int(n_votes[number]),
                "sensitivity": float(fitted.confusion[number, 1, 1]),
                "specificity": float(fitted.confusion[number, 0, 0]),
            }
            for number in np.argsort(-n_votes, kind="stable")[:N_COMPARED].tolist()
        ],
    }
