"""What an audit knows about every item, as arrays by position: who flags it, and its stratum."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from django.db.models import Max, Min

from audit.evidence import Evidence, load_evidence
from audit.kept_files import keep, kept_folder
from audit.methods import CALIBRATED_ENSEMBLE
from audit.models import Audit
from scoring.arrays import Floats, Ints, Mask

ENSEMBLE = "ensemble"
CONFIDENT_LEARNING = "confident_learning"
UNFLAGGED = "unflagged"
CELLS = ("both methods", "experts only", "Confident Learning only")


@dataclass(frozen=True, slots=True)
class Population:
    """The items of one audit. Every array has shape (n_items,), item order.

    ``usable``: every expert had a score for the item when the audit was made, which quarantined
    items have none of; only usable items can be drawn or counted. ``ranks``: per method the item's
    place in its queue, 0 = not flagged. ``bin_rank``: 1 = most confident, 0 = in no bin.
    """

    item_ids: Ints
    given_labels: Ints
    usable: Mask
    ranks: dict[str, Ints]
    bin_rank: Ints

    @property
    def n_usable(self) -> int:
        return int(self.usable.sum())

    def flagged_by(self, method: str) -> Mask:
        """Return which usable items the method flags."""
        ranks = self.ranks.get(method)
        return np.zeros_like(self.usable) if ranks is None else self.usable & (ranks > 0)

    def top(self, method: str, n: int) -> Mask:
        """Return which items stand among the first n of the method's queue."""
        ranks = self.ranks.get(method)
        return (
            np.zeros_like(self.usable) if ranks is None else self.flagged_by(method) & (ranks <= n)
        )

    def top_bins(self, k: int) -> Mask:
        """Return which usable items lie in the k most confident bins."""
        return self.usable & (self.bin_rank > 0) & (self.bin_rank <= k)


@dataclass(frozen=True, slots=True)
class Strata:
    """A partition of the usable items: ``of_item`` (n_items,) is -1 where an item is not usable.

    ``names``, ``is_flagged``, ``is_disputed_by_one_method`` and ``error_guess`` (the mean
    calibrated probability that the given label is wrong) have one entry per stratum; flagged
    strata come first, in the order cell, bin.
    """

    of_item: Ints
    names: tuple[str, ...]
    is_flagged: Mask
    is_disputed_by_one_method: Mask
    error_guess: Floats

    @property
    def sizes(self) -> Ints:
        """Items per stratum, N_h."""
        return np.bincount(self.of_item[self.of_item >= 0], minlength=len(self.names))


def load_population(audit: Audit) -> Population:
    """Return the audit's items and flags as arrays.

    Neither changes once the audit is ready: they are read from the database once, then from a
    file beside the evidence, named by what is in it. Who belongs to the audit is in the evidence
    alone: an item that is set aside today was still part of what was audited.
    """
    scored: Mask = np.all(load_evidence(audit.pk).top1 >= 0, axis=0)
    return replace(_find_population(audit), usable=scored)


def _find_population(audit: Audit) -> Population:
    """Return the same with every item usable: which ones are is in the evidence."""
    if not audit.is_ready:
        return _read_population(audit)
    ends = audit.dataset.items.aggregate(Min("pk"), Max("pk"))  # after a restore others may be
    known = f"{audit.sha256}/{audit.dataset.sha256}/{sorted(ends.items())}"
    name = hashlib.sha256(known.encode()).hexdigest()
    path = kept_folder(audit.pk) / f"{name}.npz"
    try:
        return _open_kept(path)
    except (OSError, ValueError, KeyError, BadZipFile):
        population = _read_population(audit)
        _keep(path, population)
        return population


def _open_kept(path: Path) -> Population:
    with np.load(path, allow_pickle=False) as stored:
        ranks = stored["ranks"].astype(np.int64)
        return Population(
            item_ids=stored["item_ids"],
            given_labels=stored["given_labels"].astype(np.int64),
            usable=np.ones(stored["item_ids"].size, dtype=bool),
            ranks=dict(zip(stored["methods"].tolist(), ranks, strict=True)),
            bin_rank=stored["bin_rank"].astype(np.int64),
        )


def _keep(path: Path, population: Population) -> None:
    """Write the arrays down, small: a queue has at most as many places as there are items."""
    methods = list(population.ranks)
    places = [population.ranks[method] for method in methods]
    shape = (len(methods), population.usable.size)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        item_ids=population.item_ids,
        given_labels=population.given_labels.astype(np.int32),
        methods=np.array(methods, dtype=np.str_),
        ranks=np.array(places, dtype=np.int32).reshape(shape),
        bin_rank=population.bin_rank.astype(np.int16),
    )
    keep(path, buffer.getvalue())


def _read_population(audit: Audit) -> Population:
    items = audit.dataset.items.order_by("position").values_list("pk", "given_label")
    rows = np.array(list(items), dtype=np.int64).reshape(-1, 2)
    ranks: dict[str, Ints] = {}
    bin_rank = np.zeros(len(rows), dtype=np.int64)
    # Without a join: hundreds of thousands of flags find their items by number, all at once.
    by_id = np.argsort(rows[:, 0])
    flags = audit.flags.order_by()
    for method in flags.values_list("method", flat=True).distinct():
        columns = np.array(
            list(flags.filter(method=method).values_list("item_id", "rank")), dtype=np.int64
        )
        positions = by_id[np.searchsorted(rows[by_id, 0], columns[:, 0])]
        ranks[method] = np.zeros(len(rows), dtype=np.int64)
        ranks[method][positions] = columns[:, 1]
    binned = flags.filter(method=CALIBRATED_ENSEMBLE).exclude(bin_rank=None)
    for position, its_bin in binned.values_list("item__position", "bin_rank"):
        bin_rank[position] = its_bin or 0
    return Population(
        item_ids=rows[:, 0],
        given_labels=rows[:, 1],
        usable=np.ones(len(rows), dtype=bool),
        ranks=ranks,
        bin_rank=bin_rank,
    )


def stratify(audit: Audit, population: Population) -> Strata:
    """Return the strata: (which methods flag the item) x (bin), and three unflagged ones."""
    evidence = load_evidence(audit.pk)
    by_experts = population.flagged_by(CALIBRATED_ENSEMBLE) | population.flagged_by(ENSEMBLE)
    by_learning = population.flagged_by(CONFIDENT_LEARNING)
    cell = np.select(
        [by_experts & by_learning, by_experts, by_learning, population.usable], [0, 1, 2, 3], -1
    )
    part = np.where(
        cell == 3, _unflagged_parts(evidence, population, cell == 3), population.bin_rank
    )
    is_wrong = _error_guesses(evidence)
    of_item = np.full(cell.size, -1, dtype=np.int64)
    names: list[str] = []
    cells: list[int] = []
    guesses: list[float] = []
    for number, name in enumerate((*CELLS, UNFLAGGED)):
        for value in np.unique(part[cell == number]):
            members = (cell == number) & (part == value)
            of_item[members] = len(names)
            names.append(_name(name, int(value)))
            cells.append(number)
            guesses.append(float(is_wrong[members].mean()))
    kinds = np.array(cells, dtype=np.int64)
    return Strata(
        of_item=of_item,
        names=tuple(names),
        is_flagged=kinds < 3,
        is_disputed_by_one_method=(kinds == 1) | (kinds == 2),
        error_guess=np.array(guesses, dtype=np.float64),
    )


def _name(cell: str, part: int) -> str:
    if cell == UNFLAGGED:
        return f"{UNFLAGGED}: {UNFLAGGED_PARTS[part]}"
    return f"{cell}, bin {part}" if part else cell


UNFLAGGED_PARTS = (
    "an expert disputes",
    "none disputes, low confidence",
    "none disputes, high confidence",
)


def _unflagged_parts(evidence: Evidence, population: Population, unflagged: Mask) -> Ints:
    """Return 0, 1 or 2 per item: an expert disputes; none does, with low or high confidence.

    Low and high are cut at the median of the experts' smallest confidence.
    """
    disputed = (evidence.top1 != population.given_labels).any(axis=0)
    smallest = evidence.confidence.min(axis=0)
    quiet = unflagged & ~disputed
    median = np.median(smallest[quiet]) if quiet.any() else 0.0
    return np.select([disputed, smallest < median], [0, 1], 2)


def _error_guesses(evidence: Evidence) -> Floats:
    """Return 1 - the experts' mean calibrated probability of the given label, .5 if unknown."""
    guess = 1.0 - evidence.given_probability.astype(np.float64).mean(axis=0)
    return np.where(np.isfinite(guess), np.clip(guess, 0.0, 1.0), 0.5)
