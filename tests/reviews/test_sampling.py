"""The sampling ledger: strata, inclusion probabilities, and the order of serving."""

from collections import Counter
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
from django.db.models import Count

from audit.evidence import load_evidence, write_evidence
from audit.models import Audit
from reviews.models import ReviewSlot, Sample, SampledItem, Stratum, Verdict
from reviews.populations import load_population, stratify
from reviews.services.judgments import Answer, RefusedError, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.sampling import (
    SamplingError,
    discard_sample,
    draw_items,
    freeze_sample,
    plan_counts,
    plan_strata,
)
from tests.factories import make_member, make_ready_audit
from tests.reviews.situations import make_mixed_audit
from tests.servers import in_threads

pytestmark = pytest.mark.django_db


def test_strata_are_the_cells_by_bin_and_three_unflagged_groups():
    audit = make_mixed_audit()
    strata = stratify(audit, load_population(audit))
    assert dict(zip(strata.names, strata.sizes.tolist(), strict=True)) == {
        "both methods, bin 1": 10,
        "both methods, bin 2": 10,
        "both methods, bin 3": 10,
        "experts only, bin 3": 10,
        "Confident Learning only": 10,
        "unflagged: an expert disputes": 5,
        "unflagged: none disputes, low confidence": 32,
        "unflagged: none disputes, high confidence": 33,
    }
    assert strata.is_flagged.tolist() == [True] * 5 + [False] * 3


def test_items_that_an_expert_could_not_score_are_in_no_stratum():
    audit = make_mixed_audit()
    evidence = load_evidence(audit.pk)
    top1 = np.array(evidence.top1)
    top1[:, 3] = -1  # as of a quarantined item
    top1[1, 7] = -1
    write_evidence(audit.pk, replace(evidence, top1=top1))
    strata = stratify(audit, load_population(audit))
    assert np.flatnonzero(strata.of_item < 0).tolist() == [3, 7]


def test_the_ledger_holds_strata_items_and_open_slots():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=42, unflagged=14, votes_per_item=2, seed=7)
    assert sample.n_items == 56
    drawn = dict(Stratum.objects.values_list("name", "n_drawn"))
    assert sum(drawn.values()) == 56
    assert drawn["unflagged: an expert disputes"] == 2  # a variance needs two
    assert [row.order for row in SampledItem.objects.all()] == list(range(56))
    for stratum in Stratum.objects.annotate(n_rows=Count("items")):
        assert stratum.n_rows == stratum.n_drawn
    slots = ReviewSlot.objects.filter(state=ReviewSlot.State.OPEN)
    assert slots.count() == 112
    assert all(slot.order == slot.sampled_item.order for slot in slots)


def test_every_item_lies_in_the_stratum_it_was_drawn_from():
    audit = make_mixed_audit()
    freeze_sample(audit, size=30, unflagged=10)
    strata = stratify(audit, load_population(audit))
    for row in SampledItem.objects.select_related("item", "stratum"):
        assert strata.names[strata.of_item[row.item.position]] == row.stratum.name


def test_the_same_seed_gives_the_same_sample_and_another_seed_another():
    def drawn(seed):
        audit = make_mixed_audit()
        sample = freeze_sample(audit, size=30, unflagged=10, seed=seed)
        return [row.item.position for row in sample.items.select_related("item")]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_every_item_of_a_stratum_is_drawn_equally_often():
    audit = make_mixed_audit(60)
    strata = stratify(audit, load_population(audit))
    counts = plan_counts(strata, 20, 3)
    times = np.zeros(60)
    for seed in range(2000):
        _, positions = draw_items(strata, counts, np.random.default_rng(seed))
        times[positions] += 1
    probability = (counts / strata.sizes)[strata.of_item]
    deviation = times / 2000 - probability
    assert np.abs(deviation).max() < 4.5 * np.sqrt(0.25 / 2000)


def test_every_batch_keeps_the_proportions_of_the_strata():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=40, unflagged=20, seed=1)
    rows = list(sample.items.values_list("stratum__is_flagged", flat=True))
    for start in range(0, 60, 12):
        assert abs(sum(rows[start : start + 12]) - 8) <= 3


def test_a_stratum_may_get_more_votes_than_the_others():
    audit = make_mixed_audit()
    few = {"experts only, bin 3": 1, "unflagged: an expert disputes": 3}
    sample = freeze_sample(audit, size=20, unflagged=8, votes_per_item=2, stratum_votes=few)
    votes = {
        row.name: row.items.aggregate(n=Count("slots"))["n"] / row.n_drawn
        for row in sample.strata.filter(n_drawn__gt=0)
    }
    assert votes.pop("experts only, bin 3") == 1
    assert votes.pop("unflagged: an expert disputes") == 3
    assert set(votes.values()) == {2}
    assert sample.n_votes == ReviewSlot.objects.count()


def test_a_plan_is_what_will_be_drawn():
    audit = make_mixed_audit()
    planned = [(row.name, row.n_drawn) for row in plan_strata(audit, size=25, unflagged=9)]
    assert not Sample.objects.exists()
    sample = freeze_sample(audit, size=25, unflagged=9)
    assert [(row.name, row.n_drawn) for row in sample.strata.all()] == planned


@pytest.mark.django_db(transaction=True)
def test_a_sample_is_never_drawn_anew_from_under_a_verdict():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=12, unflagged=0)
    people = [make_member(audit.dataset.project) for _ in range(5)]
    held = [(person, claim_slots(sample, person, 1)[0]) for person in people]

    def act(number: int) -> str:
        try:
            if number == 0:
                discard_sample(sample)
                return "discarded"
            person, slot = held[number - 1]
            record_judgment(person, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
        except (RefusedError, SamplingError):
            return "refused"
        return "judged"

    outcome = Counter(in_threads(act, range(6), n_threads=6))
    assert outcome in ({"discarded": 1, "refused": 5}, {"refused": 1, "judged": 5})
    assert Sample.objects.count() == (0 if outcome["discarded"] else 1)


def test_a_sample_is_drawn_once():
    audit = make_mixed_audit()
    freeze_sample(audit, size=10, unflagged=0)
    with pytest.raises(SamplingError, match="has its sample already"):
        freeze_sample(audit, size=10, unflagged=0)
    assert Sample.objects.count() == 1


@pytest.mark.parametrize("state", [Audit.State.SCORING, Audit.State.FAILED])
def test_an_audit_that_is_not_ready_has_nothing_to_draw_from(state):
    audit = make_ready_audit()
    Audit.objects.update(state=state)
    audit.refresh_from_db()
    with pytest.raises(SamplingError, match="needs a ready audit"):
        freeze_sample(audit, size=5, unflagged=0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"size": 0, "unflagged": 0}, "at least one item"),
        ({"size": -1, "unflagged": 5}, "at least one item"),
        ({"size": 5, "unflagged": 0, "votes_per_item": 10}, "from 1 to 9"),
        ({"size": 5, "unflagged": 0, "stratum_votes": {"x": 2}}, "is not one of"),
        ({"size": 5, "unflagged": 0, "revealed_share": 1.1}, "from 0 to 1"),
        ({"size": 5, "unflagged": 0, "seed": -1}, "whole number"),
    ],
)
def test_impossible_numbers_are_refused_and_leave_nothing(numbers, message):
    with pytest.raises(SamplingError, match=message):
        freeze_sample(make_ready_audit(), **numbers)
    assert not Sample.objects.exists()


def test_more_items_than_there_are_draws_them_all():
    audit = make_ready_audit()
    sample = freeze_sample(audit, size=1000, unflagged=1000)
    assert sample.n_items == 12
