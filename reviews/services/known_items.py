"""Mark items whose answer is known, and have them ready beside the sample."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from audit.models import Act, Audit, Item
from audit.services.log import write_log
from reviews.materials import prepare_material
from reviews.models import (
    Adjudication,
    KnownItem,
    QualityPlan,
    QuestionVerdict,
    Sample,
    SampledItem,
    Verdict,
    Vote,
    VoteSource,
)
from reviews.populations import load_population

MOST_AT_ONCE = 500
Origin = KnownItem.Origin


class MarkingError(ValueError):
    """The items can't be marked; the message says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """An item's known answer, and why."""

    item: int
    verdict: str
    corrected_label: int | None = None
    why: str = ""


def mark_by_hand(audit: Audit, item: Item, use: str, known: Known, person: User) -> KnownItem:
    """Mark one item with an answer that an admin gives.

    An item of the sample would be asked twice, so only adjudicated ones of those can be marked.
    """
    if SampledItem.objects.drawn().filter(sample__audit=audit, item=item).exists():
        raise MarkingError(
            f"{item.key} is in the sample; take it from the adjudicated ones once it is decided"
        )
    return _mark(audit, use, [known], Origin.BY_HAND, person)[0]


def mark_adjudicated(audit: Audit, use: str, n_wanted: int, person: User) -> list[KnownItem]:
    """Mark items that an adjudicator has decided, at random; the decision's reason is the why."""
    rows = Adjudication.objects.standing().filter(sampled_item__sample__audit=audit)
    known = [
        Known(item, verdict, label, reason[:2000])
        for item, verdict, label, reason in rows.exclude(verdict=Verdict.UNSURE).values_list(
            "sampled_item__item", "verdict", "corrected_label", "reason"
        )
    ]
    chosen = _choose(audit, known, n_wanted)
    if not chosen:
        raise MarkingError("no decided item is left that isn't marked yet")
    return _mark(audit, use, chosen, Origin.ADJUDICATED, person)


def mark_from_votes(
    audit: Audit, source: VoteSource, use: str, n_wanted: int, person: User
) -> list[KnownItem]:
    """Mark items outside the sample that a source is at one about: half of them label errors."""
    population = load_population(audit)
    usable = set(population.item_ids[population.usable].tolist())
    drawn = SampledItem.objects.drawn().filter(sample__audit=audit)
    taken = set(drawn.values_list("item", flat=True))
    known = [each for each in _read_answers(source) if each.item in usable - taken]
    errors = [each for each in known if each.verdict != Verdict.LABEL_CORRECT]
    correct = [each for each in known if each.verdict == Verdict.LABEL_CORRECT]
    chosen = _choose(audit, errors, n_wanted // 2)
    chosen += _choose(audit, correct, n_wanted - len(chosen))
    if not chosen:
        raise MarkingError(f"{source} says nothing of items outside the sample")
    return _mark(audit, use, chosen, Origin.VOTES, person, source.name)


def _read_answers(source: VoteSource) -> Iterable[Known]:
    """Yield the items on which all votes of a source say the same, and are sure."""
    answers: dict[int, Known | None] = {}
    is_question = source.dataset.has_questions
    wrong = QuestionVerdict.WRONG_GROUND_TRUTH if is_question else Verdict.WRONG_LABEL
    rows = Vote.objects.filter(source=source).order_by("item", "pk")
    for item, given, labels, verdict in rows.values_list(
        "item", "item__given_label", "labels", "verdict"
    ).iterator(chunk_size=5000):
        known = _read_vote(item, given, labels, verdict or _call(given, labels, wrong))
        answers[item] = known if answers.get(item, known) == known else None
    return [each for each in answers.values() if each and each.verdict != Verdict.UNSURE]


def _call(given: int, labels: Sequence[int] | None, wrong: str) -> str:
    """Return the verdict of a vote that names labels alone."""
    return Verdict.LABEL_CORRECT if given in (labels or ()) else wrong


def _read_vote(item: int, given: int, labels: Sequence[int] | None, verdict: str) -> Known:
    others = [label for label in labels or () if label != given]
    is_error = verdict != Verdict.LABEL_CORRECT
    return Known(item, verdict, others[0] if is_error and others else None)


def _choose(audit: Audit, known: Sequence[Known], n_wanted: int) -> list[Known]:
    if not 1 <= n_wanted <= MOST_AT_ONCE:
        return []
    marked = set(audit.known_items.values_list("item", flat=True))
    free = sorted((each for each in known if each.item not in marked), key=lambda each: each.item)
    return random.Random(audit.pk + len(marked)).sample(free, min(n_wanted, len(free)))  # noqa: S311


def _mark(
    audit: Audit,
    use: str,
    known: Sequence[Known],
    origin: str,
    person: User,
    source: str = "",
) -> list[KnownItem]:
    try:
        with transaction.atomic():
            marked = KnownItem.objects.bulk_create(
                [
                    KnownItem(
                        audit=audit,
                        item_id=each.item,
                        use=use,
                        verdict=each.verdict,
                        corrected_label=each.corrected_label,
                        why=each.why,
                        origin=origin,
                        source=source,
                        marked_by=person,
                    )
                    for each in known
                ]
            )
            place_known_items(audit)
            _log(Act.KNOWN_ITEMS_MARKED, audit, person, use=use, items=len(marked), source=source)
    except IntegrityError as error:
        raise MarkingError("one of these items is marked already") from error
    return marked


@transaction.atomic
def retire(known: KnownItem, person: User | None = None) -> None:
    """Show an item to nobody any more; what was said of it stays."""
    if KnownItem.objects.filter(pk=known.pk, is_active=True).update(is_active=False):
        _log(Act.KNOWN_ITEM_RETIRED, known.audit, person, item=known.item.key)


@transaction.atomic
def keep_plan(plan: QualityPlan, person: User) -> None:
    """Store how much gold annotators are shown, and what they are trained on."""
    plan.save()
    facts = {"gold_share": plan.gold_share, "training": plan.n_training}
    _log(Act.QUALITY_PLANNED, plan.audit, person, **facts)


def _log(act: Act, audit: Audit, person: User | None, **detail: Any) -> None:
    project = audit.dataset.project
    write_log(act, f"audit {audit.pk}", person=person, project=project, **detail)


def place_known_items(audit: Audit) -> None:
    """Put marked items beside the sample's own, in no stratum, ready to be shown."""
    sample = Sample.objects.filter(audit=audit).first()
    if sample is None:
        return
    there = SampledItem.objects.filter(sample=sample).values("item")
    missing = list(
        audit.known_items.exclude(item__in=there)
        .order_by("pk")
        .values_list("item", "item__position")
    )
    if not missing:
        return
    positions = np.array([position for _, position in missing], dtype=np.int64)
    material = prepare_material(audit, load_population(audit), positions)
    last = SampledItem.objects.filter(sample=sample).aggregate(Max("order"))["order__max"]
    first = 0 if last is None else last + 1
    SampledItem.objects.bulk_create(
        SampledItem(
            sample=sample,
            stratum=None,
            item_id=item,
            order=first + place,
            candidates=material.candidates[place],
        )
        for place, (item, _) in enumerate(missing)
    )
    _take_from_examples(sample, {item for item, _ in missing})


def _take_from_examples(sample: Sample, items: set[int]) -> None:
    """Show none of these items as an example of its class: it is to be judged."""
    for each in sample.classes.all():
        kept = [item for item in each.exemplars if item not in items]
        if len(kept) < len(each.exemplars):
            each.exemplars = kept
            each.save(update_fields=["exemplars"])
