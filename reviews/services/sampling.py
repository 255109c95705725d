"""Draw the items that people judge, once per audit, and write the ledger."""

from __future__ import annotations

import numpy as np
from django.db import IntegrityError, transaction

from audit.models import Audit
from reviews.models import ReviewSlot, Sample, SampledItem, Stratum
from reviews.populations import Strata, load_population, stratify
from scoring.allocation import allocate, interleave, neyman_weights
from scoring.arrays import Ints

MIN_PER_STRATUM = 10
MIN_PER_UNFLAGGED_STRATUM = 2  # a variance needs two
BATCH = 500
MAX_SEED = 2_147_483_647  # what the column holds on every database


class SamplingError(ValueError):
    """The sample can't be drawn; the message says why."""


def freeze_sample(
    audit: Audit, *, size: int, unflagged: int, votes_per_item: int = 1, seed: int = 0
) -> Sample:
    """Draw ``size`` flagged and ``unflagged`` unflagged items, and freeze the sampling ledger.

    Simple random sampling without replacement inside each stratum; the same audit, numbers and
    seed give the same sample. Nothing is written when it is refused.
    """
    _check_request(audit, size, unflagged, votes_per_item, seed)
    population = load_population(audit)
    strata = stratify(audit, population)
    if not strata.names:
        raise SamplingError("no item of this audit was scored by every expert")
    counts = plan_counts(strata, size, unflagged)
    stratum_of_place, positions = draw_items(strata, counts, np.random.default_rng(seed))
    try:
        with transaction.atomic():
            sample = Sample.objects.create(
                audit=audit, seed=seed, votes_per_item=votes_per_item, n_items=len(positions)
            )
            item_ids = population.item_ids[positions]
            _write_ledger(sample, strata, counts, stratum_of_place, item_ids)
    except IntegrityError as error:
        if Sample.objects.filter(audit=audit).exists():
            raise SamplingError(_already(audit)) from error
        raise
    return sample


def _check_request(audit: Audit, size: int, unflagged: int, votes: int, seed: int) -> None:
    if not audit.is_ready:
        raise SamplingError(f"{audit} is {audit.state}; a sample needs a ready audit")
    if Sample.objects.filter(audit=audit).exists():
        raise SamplingError(_already(audit))
    if size < 0 or unflagged < 0 or size + unflagged == 0:
        raise SamplingError(f"a sample needs at least one item, got {size} and {unflagged}")
    if not 1 <= votes <= 9:
        raise SamplingError(f"votes per item must be from 1 to 9, got {votes}")
    if not 0 <= seed <= MAX_SEED:
        raise SamplingError(f"a seed is a whole number from 0 to {MAX_SEED}, got {seed}")


def _already(audit: Audit) -> str:
    return f"{audit} has its sample already; it was frozen when it was drawn"


def plan_counts(strata: Strata, size: int, unflagged: int) -> Ints:
    """Return how many items to draw from each stratum, shape (n_strata,)."""
    sizes, is_flagged = strata.sizes, strata.is_flagged
    # Cells that only one method flags alone drive a comparison: the widest guess gives them more.
    guesses = np.where(strata.is_disputed_by_one_method, 0.5, strata.error_guess)
    counts = np.zeros(len(strata.names), dtype=np.int64)
    counts[is_flagged] = allocate(
        sizes[is_flagged],
        neyman_weights(sizes[is_flagged], guesses[is_flagged]),
        size,
        MIN_PER_STRATUM,
    )
    rest = sizes[~is_flagged]
    counts[~is_flagged] = allocate(
        rest, rest.astype(np.float64), unflagged, MIN_PER_UNFLAGGED_STRATUM
    )
    return counts


def draw_items(strata: Strata, counts: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the stratum and the item position at each place of the serving order."""
    stratum_of_place = interleave(counts, rng)
    positions = np.empty(stratum_of_place.size, dtype=np.int64)
    for number, count in enumerate(counts):
        members = np.flatnonzero(strata.of_item == number)
        positions[stratum_of_place == number] = rng.choice(members, size=count, replace=False)
    return stratum_of_place, positions


def _write_ledger(
    sample: Sample, strata: Strata, counts: Ints, stratum_of_place: Ints, item_ids: Ints
) -> None:
    rows = Stratum.objects.bulk_create(
        Stratum(
            sample=sample,
            name=name,
            is_flagged=bool(is_flagged),
            n_population=int(n_population),
            n_drawn=int(n_drawn),
        )
        for name, is_flagged, n_population, n_drawn in zip(
            strata.names, strata.is_flagged, strata.sizes, counts, strict=True
        )
    )
    drawn = SampledItem.objects.bulk_create(
        [
            SampledItem(sample=sample, stratum=rows[stratum], item_id=int(item_id), order=order)
            for order, (stratum, item_id) in enumerate(zip(stratum_of_place, item_ids, strict=True))
        ],
        batch_size=BATCH,
    )
    ReviewSlot.objects.bulk_create(
        [
            ReviewSlot(sample=sample, sampled_item=row, number=number, order=row.order)
            for row in drawn
            for number in range(1, sample.votes_per_item + 1)
        ],
        batch_size=BATCH,
    )
