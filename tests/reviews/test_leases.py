"""Claiming slots: nobody gets what somebody else holds, on either database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import Role
from reviews.models import ReviewSlot, Sample
from reviews.services import leases
from reviews.services.judgments import Answer, Verdict, record_judgment
from reviews.services.leases import (
    claim_slots,
    hand_back,
    read_ticket,
    renew_leases,
    reopen_expired,
    was_given,
    write_ticket,
)
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads

pytestmark = pytest.mark.django_db


def sample_of(n_items: int, votes_per_item: int = 1) -> Sample:
    audit = make_ready_audit(make_dataset(make_project(), n_items=max(n_items, 12)))
    return make_sample(audit, n_items, votes_per_item)


def annotators_of(sample: Sample, number: int = 1):
    return [make_member(sample.audit.dataset.project) for _ in range(number)]


def orders(slots: list[ReviewSlot]) -> list[int]:
    return [slot.order for slot in slots]


def let_leases_run_out(sample: Sample) -> None:
    sample.slots.filter(state="leased").update(leased_until=Now() - timedelta(seconds=1))


def test_two_annotators_get_different_items_in_serving_order():
    sample = sample_of(12)
    first, second = annotators_of(sample, 2)
    assert orders(claim_slots(sample, first, 5)) == [0, 1, 2, 3, 4]
    assert orders(claim_slots(sample, second, 5)) == [5, 6, 7, 8, 9]
    assert orders(claim_slots(sample, first, 7)) == [0, 1, 2, 3, 4, 10, 11]
    assert orders(claim_slots(sample, second, 10)) == [5, 6, 7, 8, 9]


def test_a_second_claim_returns_what_is_held_and_tops_it_up():
    sample = sample_of(12)
    (annotator,) = annotators_of(sample)
    held = claim_slots(sample, annotator, 3)
    assert orders(claim_slots(sample, annotator, 3)) == [0, 1, 2]
    assert [slot.epoch for slot in held] == [1, 1, 1]


def test_nobody_gets_two_slots_of_one_item():
    sample = sample_of(4, votes_per_item=3)
    people = annotators_of(sample, 4)
    given_to = [orders(claim_slots(sample, person, 10)) for person in people]
    assert given_to == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], []]


def test_items_set_aside_stay_held_and_make_room_for_others():
    sample = sample_of(12)
    (annotator,) = annotators_of(sample)
    aside = [slot.pk for slot in claim_slots(sample, annotator, 2)]
    assert orders(claim_slots(sample, annotator, 2, set_aside=aside)) == [0, 1, 2, 3]


def test_no_more_than_fifty_items_are_set_aside():
    sample = sample_of(54)
    (annotator,) = annotators_of(sample)
    aside = [slot.pk for slot in claim_slots(sample, annotator, 51)]
    # One of the 51 is judged next, so of the two wanted one more is needed.
    assert len(claim_slots(sample, annotator, 2, set_aside=aside)) == 52


def test_a_ticket_names_the_slot_for_its_holder_alone():
    sample = sample_of(2)
    first, second = annotators_of(sample, 2)
    one, two = claim_slots(sample, first, 2)
    ticket = write_ticket(one, first)
    assert read_ticket(ticket, first) == (one.pk, 1)
    with pytest.raises(PermissionError):
        read_ticket(ticket, second)
    with pytest.raises(ValueError, match="no valid ticket"):
        read_ticket(f"{ticket}x", first)
    assert was_given(one, first, "no ticket at all")
    hand_back(sample, first, [one.pk, two.pk])
    one.refresh_from_db()
    two.refresh_from_db()
    assert was_given(one, first, ticket)
    assert not was_given(two, first, ticket)
    assert not was_given(one, second, ticket)
    assert not was_given(one, first, "no ticket at all")


def test_a_lease_that_ran_out_is_no_reason_to_forget_what_was_set_aside():
    sample = sample_of(4)
    first, second = annotators_of(sample, 2)
    aside = [slot.pk for slot in claim_slots(sample, first, 2)]
    claim_slots(sample, second, 2)
    sample.slots.held_by(second).update(leased_until=Now() - timedelta(seconds=1))
    assert orders(claim_slots(sample, first, 2, set_aside=aside)) == [0, 1, 2, 3]


def test_what_vanishes_is_asked_for_three_times(monkeypatch):
    sample = sample_of(2)
    (annotator,) = annotators_of(sample)
    asked = []
    monkeypatch.setattr(leases, "_top_up", lambda *args: bool(asked.append(args)) or True)
    assert claim_slots(sample, annotator) == []
    assert len(asked) == 3


def test_r10_a_lease_that_ran_out_goes_to_the_next_one_who_asks():
    sample = sample_of(3)
    first, second = annotators_of(sample, 2)
    claim_slots(sample, first, 3)
    assert claim_slots(sample, second, 3) == []
    let_leases_run_out(sample)
    slots = claim_slots(sample, second, 3)
    assert orders(slots) == [0, 1, 2]
    assert [slot.epoch for slot in slots] == [2, 2, 2]


def test_asking_again_after_a_pause_renews_ones_own_late_leases():
    sample = sample_of(3)
    first, second = annotators_of(sample, 2)
    claim_slots(sample, first, 3)
    let_leases_run_out(sample)
    assert orders(claim_slots(sample, first, 3)) == [0, 1, 2]
    assert claim_slots(sample, second, 3) == []


def test_r10_a_heartbeat_extends_ones_own_leases_only():
    sample = sample_of(4)
    first, second = annotators_of(sample, 2)
    mine = [slot.pk for slot in claim_slots(sample, first, 2)]
    claim_slots(sample, second, 2)
    let_leases_run_out(sample)
    assert renew_leases(sample, first) == mine
    assert reopen_expired(sample) == 2
    assert set(sample.slots.held_by(first).values_list("pk", flat=True)) == set(mine)


def test_handing_back_opens_ones_own_slots_and_nobody_elses():
    sample = sample_of(4)
    first, second = annotators_of(sample, 2)
    mine = [slot.pk for slot in claim_slots(sample, first, 2)]
    theirs = [slot.pk for slot in claim_slots(sample, second, 2)]
    assert hand_back(sample, first, mine + theirs) == 2
    assert sample.slots.filter(state="open").count() == 2
    assert sample.slots.held_by(second).count() == 2


def test_a_page_that_hands_back_late_does_not_leave_the_next_one_empty(monkeypatch):
    sample = sample_of(n_items=12)
    [annotator] = annotators_of(sample)
    held = claim_slots(sample, annotator)
    take, late = leases._take, [[slot.pk for slot in held]]

    def take_then_hand_back(*args, **options):
        enough = take(*args, **options)
        if late:
            hand_back(sample, annotator, late.pop())
        return enough

    monkeypatch.setattr(leases, "_take", take_then_hand_back)
    assert orders(claim_slots(sample, annotator)) == orders(held)
    assert late == []


def test_the_slots_of_somebody_who_left_the_project_are_opened():
    sample = sample_of(4)
    leaver, inactive, stays = annotators_of(sample, 3)
    claim_slots(sample, leaver, 1)
    claim_slots(sample, inactive, 1)
    claim_slots(sample, stays, 1)
    leaver.memberships.all().delete()
    inactive.is_active = False
    inactive.save()
    assert reopen_expired() == 2
    assert sample.slots.held_by(stays).count() == 1


def test_judged_slots_are_never_claimed_again():
    sample = sample_of(2)
    first, second = annotators_of(sample, 2)
    slot = claim_slots(sample, first, 1)[0]
    record_judgment(first, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
    assert orders(claim_slots(sample, second, 5)) == [1]
    assert orders(claim_slots(sample, first, 5)) == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables whole")
def test_no_lease_walks_through_all_slots():
    sample = sample_of(6)
    (annotator,) = annotators_of(sample)
    held, waiting = sample.slots.held_by(annotator), sample.slots.claimable_by(annotator)
    assert "slots_in_hand" in held.explain()
    assert "slots_to_claim" in waiting.explain()
    assert "leases_by_end" in ReviewSlot.objects.expired().explain()


def test_a_claim_asks_the_database_a_fixed_number_of_questions(django_assert_max_num_queries):
    sample = sample_of(60)
    (annotator,) = annotators_of(sample)
    with django_assert_max_num_queries(8):
        claim_slots(sample, annotator, 10)


@settings(max_examples=15, deadline=None)
@given(
    acts=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["claim", "back", "late", "reap"])),
        max_size=12,
    )
)
def test_a_slot_never_has_two_holders_whatever_people_do(acts):
    sample = sample_of(6, votes_per_item=2)
    people = annotators_of(sample, 3)
    for who, act in acts:
        person = people[who]
        if act == "claim":
            claim_slots(sample, person, 3)
        elif act == "back":
            hand_back(sample, person, sample.slots.values_list("pk", flat=True))
        elif act == "late":
            sample.slots.held_by(person).update(leased_until=Now() - timedelta(seconds=1))
        else:
            reopen_expired(sample)
    held = sample.slots.filter(state="leased").values_list("sampled_item", "annotator")
    assert max(Counter(held).values(), default=1) == 1
    assert all(count <= 2 for count in Counter(item for item, _ in held).values())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("votes_per_item", [1, 2])
def test_r01_sixteen_annotators_at_once_never_share_a_slot(votes_per_item):
    sample = sample_of(200, votes_per_item)
    people = annotators_of(sample, 16)

    def judge_until_none_is_left(person) -> list[tuple[int, int, int]]:
        mine = []
        while slots := claim_slots(sample, person, 3):
            for slot in slots:
                # All say the same, so that no third vote is asked for.
                answer = Answer(Verdict.LABEL_CORRECT)
                record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
                mine.append((slot.pk, slot.sampled_item_id, person.pk))
        return mine

    taken = [row for rows in in_threads(judge_until_none_is_left, people) for row in rows]
    assert max(Counter(slot for slot, _, _ in taken).values()) == 1
    assert max(Counter((item, person) for _, item, person in taken).values()) == 1
    assert len(taken) == 200 * votes_per_item == sample.slots.filter(state="judged").count()
    # Every claim raises the epoch: above 1, a slot was taken from under its holder.
    assert set(sample.slots.values_list("epoch", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_one_person_in_eight_windows_holds_each_item_once():
    sample = sample_of(30, votes_per_item=3)
    (person,) = annotators_of(sample)
    in_threads(lambda _: claim_slots(sample, person, 10), range(8), n_threads=8)
    items = sample.slots.held_by(person).values_list("sampled_item", flat=True)
    assert sorted(items) == sorted(set(items))
    assert len(items) == 10


def test_a_maintainer_may_judge_too():
    sample = sample_of(3)
    maintainer = make_member(sample.audit.dataset.project, Role.MAINTAINER)
    assert orders(claim_slots(sample, maintainer, 2)) == [0, 1]
