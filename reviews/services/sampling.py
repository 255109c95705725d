"""Draw the items that people judge, and write the ledger; the first verdict freezes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit.models import Act, Audit
from audit.services.log import write_log
from reviews.materials import Material, prepare_material
from reviews.models import ReviewSlot, Sample, SampledClass, SampledItem, Stratum
from reviews.populations import Population, Strata, load_population, stratify
from reviews.revisions import hash_items
from reviews.services.known_items import place_known_items
from scoring.allocation import allocate, interleave, neyman_weights
from scoring.arrays import Ints

MIN_PER_STRATUM = 10
MIN_PER_UNFLAGGED_STRATUM = 2  # a variance needs two
MOST_VOTES = 9
BATCH = 500
MAX_SEED = 2_147_483_647  # what the column holds on every database


class SamplingError(ValueError):
    """The sample can't be drawn, or not drawn anew; the message says why."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The items of a drawn sample in serving order: their strata and positions, (n_drawn,)."""

    population: Population
    strata: Sequence[Stratum]
    stratum_of_place: Ints
    positions: Ints

    @property
    def item_ids(self) -> list[int]:
        """The drawn items, in serving order."""
        return [int(item) for item in self.population.item_ids[self.positions]]


def freeze_sample(  # noqa: PLR0913 - what a sample is drawn with, each by its name
    audit: Audit,
    *,
    size: int,
    unflagged: int,
    votes_per_item: int = 1,
    seed: int = 0,
    revealed_share: float = 0.0,
    adds_third_vote: bool = True,
    stratum_votes: Mapping[str, int] | None = None,
    drawn_by: User | None = None,
) -> Sample:
    """Draw ``size`` flagged and ``unflagged`` unflagged items, and write the sampling ledger.

    Simple random sampling without replacement inside each stratum; the same audit, numbers and
    seed give the same sample. ``stratum_votes`` names strata whose items get another number of
    votes; ``adds_third_vote`` asks for one more where two votes differ. Nothing is written when
    it is refused.
    """
    _check_request(audit, size, unflagged, seed, revealed_share)
    population = load_population(audit)
    groups = stratify(audit, population)
    strata = _plan(groups, size, unflagged, votes_per_item, stratum_votes or {})
    counts = np.array([stratum.n_drawn for stratum in strata], dtype=np.int64)
    draw = Draw(population, strata, *draw_items(groups, counts, np.random.default_rng(seed)))
    sample = Sample(
        audit=audit,
        seed=seed,
        votes_per_item=max(stratum.votes_per_item for stratum in strata),
        revealed_share=revealed_share,
        adds_third_vote=adds_third_vote,
        n_items=len(draw.positions),
        n_votes=sum(stratum.n_drawn * stratum.votes_per_item for stratum in strata),
        drawn_by=drawn_by,
    )
    try:
        with transaction.atomic():
            _write_ledger(sample, draw, prepare_material(audit, population, draw.positions))
            place_known_items(audit)
            facts = {"items": sample.n_items, "votes": sample.n_votes, "seed": seed}
            _log(Act.SAMPLE_DRAWN, audit, drawn_by, **facts)
    except IntegrityError as error:
        if Sample.objects.filter(audit=audit).exists():
            raise SamplingError(_already(audit)) from error
        raise
    return sample


@transaction.atomic
def redraw_sample(audit: Audit, **numbers: Any) -> Sample:
    """Draw a sample as `freeze_sample` does; an earlier one that nobody has judged goes."""
    earlier = Sample.objects.filter(audit=audit).first()
    if earlier:
        discard_sample(earlier, numbers.get("drawn_by"))
    return freeze_sample(audit, **numbers)


def plan_strata(
    audit: Audit,
    *,
    size: int,
    unflagged: int,
    votes_per_item: int = 1,
    stratum_votes: Mapping[str, int] | None = None,
) -> list[Stratum]:
    """Return the strata as `freeze_sample` would write them; nothing is drawn or stored."""
    groups = stratify(audit, load_population(audit))
    return _plan(groups, size, unflagged, votes_per_item, stratum_votes or {})


@transaction.atomic
def discard_sample(sample: Sample, person: User | None = None) -> None:
    """Remove a sample that nobody has judged yet, so that another one can be drawn."""
    # Verdicts and claims lock the same rows in this order: those on their way are waited for.
    Sample.objects.select_for_update().filter(pk=sample.pk).first()
    list(sample.slots.select_for_update().order_by("order", "id").values_list("pk", flat=True))
    if sample.is_frozen:
        raise SamplingError(f"{sample} is frozen: people have begun to judge it")
    sample.slots.all().delete()
    sample.items.all().delete()
    sample.strata.all().delete()
    sample.delete()  # takes what the desk shows of the classes with it
    _log(Act.SAMPLE_DISCARDED, sample.audit, person)


def _log(act: Act, audit: Audit, person: User | None, **detail: Any) -> None:
    project = audit.dataset.project
    write_log(act, f"sample of audit {audit.pk}", person=person, project=project, **detail)


def _check_request(
    audit: Audit, size: int, unflagged: int, seed: int, revealed_share: float
) -> None:
    if not audit.is_ready:
        raise SamplingError(f"{audit} is {audit.state}; a sample needs a ready audit")
    if Sample.objects.filter(audit=audit).exists():
        raise SamplingError(_already(audit))
    if size < 0 or unflagged < 0 or size + unflagged == 0:
        raise SamplingError(f"a sample needs at least one item, got {size} and {unflagged}")
    if not 0 <= seed <= MAX_SEED:
        raise SamplingError(f"a seed is a whole number from 0 to {MAX_SEED}, got {seed}")
    if not 0 <= revealed_share <= 1:
        raise SamplingError(f"the revealed share must be from 0 to 1, got {revealed_share}")


def _already(audit: Audit) -> str:
    return f"{audit} has its sample already; it can be drawn anew until the first verdict"


def _plan(
    groups: Strata, size: int, unflagged: int, votes_per_item: int, others: Mapping[str, int]
) -> list[Stratum]:
    if not groups.names:
        raise SamplingError("no item of this audit was scored by every expert")
    unknown = sorted(set(others) - set(groups.names))
    if unknown:
        raise SamplingError(f"{unknown[0]!r} is not one of: {'; '.join(groups.names)}")
    for votes in (votes_per_item, *others.values()):
        if not 1 <= votes <= MOST_VOTES:
            raise SamplingError(f"votes per item must be from 1 to {MOST_VOTES}, got {votes}")
    return [
        Stratum(
            name=name,
            is_flagged=bool(is_flagged),
            n_population=int(n_population),
            n_drawn=int(n_drawn),
            votes_per_item=others.get(name, votes_per_item),
        )
        for name, is_flagged, n_population, n_drawn in zip(
            groups.names,
            groups.is_flagged,
            groups.sizes,
            plan_counts(groups, size, unflagged),
            strict=True,
        )
    ]


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


def _write_ledger(sample: Sample, draw: Draw, material: Material) -> None:
    sample.save()
    for stratum in draw.strata:
        stratum.sample = sample
    strata = Stratum.objects.bulk_create(draw.strata)
    revisions = hash_items(list(sample.audit.dataset.items.in_bulk(draw.item_ids).values()))
    drawn = SampledItem.objects.bulk_create(
        [
            SampledItem(
                sample=sample,
                stratum=strata[stratum],
                item_id=item,
                order=order,
                candidates=material.candidates[order],
                revision=revisions[item],
            )
            for order, (stratum, item) in enumerate(
                zip(draw.stratum_of_place, draw.item_ids, strict=True)
            )
        ],
        batch_size=BATCH,
    )
    for each in material.classes:
        each.sample = sample
    SampledClass.objects.bulk_create(material.classes, batch_size=BATCH)
    ReviewSlot.objects.bulk_create(
        [
            ReviewSlot(sample=sample, sampled_item=row, number=number, order=row.order)
            for row in drawn
            for number in range(1, row.votes_wanted + 1)
        ],
        batch_size=BATCH,
    )
