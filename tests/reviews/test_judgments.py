"""Recording, revising and undoing verdicts: one row per act, never lost, never doubled."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from hypothesis import given, settings
from hypothesis import strategies as st

from reviews.models import Judgment, ReviewSlot, Sample, Verdict
from reviews.services.judgments import (
    Answer,
    KeyReusedError,
    RefusedError,
    record_judgment,
    revise,
    withdraw,
)
from reviews.services.leases import claim_slots, hand_back, reopen_expired
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads

pytestmark = pytest.mark.django_db

WRONG = Answer(Verdict.WRONG_LABEL, corrected_label=2, note="a two", milliseconds=900)
CORRECT = Answer(Verdict.LABEL_CORRECT, milliseconds=700)


def sample_of(n_items: int = 4, votes_per_item: int = 1) -> Sample:
    audit = make_ready_audit(make_dataset(make_project()))
    return make_sample(audit, n_items, votes_per_item)


def annotator_of(sample: Sample) -> User:
    return make_member(sample.audit.dataset.project)


def held_slot(sample: Sample, annotator: User) -> ReviewSlot:
    return claim_slots(sample, annotator, 1)[0]


def test_a_verdict_closes_the_slot_and_keeps_what_was_said():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    recorded = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG)
    slot.refresh_from_db()
    judgment = recorded.judgment
    assert (slot.state, slot.judgment, slot.leased_until) == ("judged", judgment, None)
    assert (judgment.verdict, judgment.corrected_label) == ("wrong_label", 2)
    assert (judgment.note, judgment.milliseconds) == ("a two", 900)
    assert not recorded.replayed


def test_the_same_request_again_is_answered_from_the_row_it_made():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot, key = held_slot(sample, annotator), uuid4()
    first = record_judgment(annotator, slot.pk, slot.epoch, key, WRONG)
    again = record_judgment(annotator, slot.pk, slot.epoch, key, WRONG)
    assert (again.judgment, again.replayed) == (first.judgment, True)
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [CORRECT, Answer(Verdict.WRONG_LABEL, 2, "another note", 900)],
    ids=["other verdict", "other note"],
)
def test_r04_a_key_used_for_something_else_is_refused(other):
    sample = sample_of()
    annotator = annotator_of(sample)
    slot, key = held_slot(sample, annotator), uuid4()
    record_judgment(annotator, slot.pk, slot.epoch, key, WRONG)
    with pytest.raises(KeyReusedError):
        record_judgment(annotator, slot.pk, slot.epoch, key, other)


def test_the_key_of_another_annotator_is_refused():
    sample = sample_of()
    first, second = annotator_of(sample), annotator_of(sample)
    slot, key = held_slot(sample, first), uuid4()
    record_judgment(first, slot.pk, slot.epoch, key, WRONG)
    with pytest.raises(KeyReusedError):
        record_judgment(second, slot.pk, slot.epoch, key, WRONG)


def test_a_second_window_gets_the_verdict_that_stands():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    first = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG)
    with pytest.raises(RefusedError) as refused:
        record_judgment(annotator, slot.pk, slot.epoch, uuid4(), CORRECT)
    assert refused.value.standing == first.judgment
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize("open_again", [reopen_expired, None], ids=["reopened", "not yet"])
def test_r08_a_late_verdict_counts_while_nobody_else_took_the_item(open_again):
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    sample.slots.filter(pk=slot.pk).update(leased_until=Now() - timedelta(seconds=1))
    if open_again:
        assert open_again(sample) == 1
    record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG)
    assert sample.slots.get(pk=slot.pk).state == "judged"


def test_r09_a_verdict_after_somebody_else_took_the_item_is_refused_without_theirs():
    sample = sample_of()
    late, other = annotator_of(sample), annotator_of(sample)
    slot = held_slot(sample, late)
    hand_back(sample, late, [slot.pk])
    taken = held_slot(sample, other)
    assert taken.pk == slot.pk
    for act in (lambda: None, lambda: record_judgment(other, slot.pk, 2, uuid4(), CORRECT)):
        act()
        with pytest.raises(RefusedError) as refused:
            record_judgment(late, slot.pk, slot.epoch, uuid4(), WRONG)
        assert refused.value.standing is None
    assert Judgment.objects.get().annotator == other


def test_a_slot_that_nobody_was_ever_given_takes_no_verdict():
    sample = sample_of()
    slot = sample.slots.first()
    with pytest.raises(RefusedError):
        record_judgment(annotator_of(sample), slot.pk, 0, uuid4(), WRONG)


def test_one_person_never_votes_twice_on_an_item_by_way_of_an_old_lease():
    sample = sample_of(1, votes_per_item=2)
    annotator = annotator_of(sample)
    old = held_slot(sample, annotator)
    hand_back(sample, annotator, [old.pk])
    other = annotator_of(sample)
    claim_slots(sample, other, 1)
    newer = held_slot(sample, annotator)
    assert newer.pk != old.pk
    hand_back(sample, other, [old.pk])
    with pytest.raises(RefusedError):
        record_judgment(annotator, old.pk, old.epoch + 1, uuid4(), WRONG)


def test_undo_adds_a_row_and_gives_the_item_back_to_its_annotator():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    first = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    undone = withdraw(annotator, first, uuid4()).judgment
    slot.refresh_from_db()
    assert (undone.verdict, undone.supersedes, undone.corrected_label) == ("withdrawn", first, None)
    assert (slot.state, slot.annotator, slot.judgment, slot.epoch) == ("leased", annotator, None, 2)
    second = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), CORRECT).judgment
    assert second.supersedes == undone
    assert list(Judgment.objects.standing()) == [second]


def test_undo_twice_by_the_same_request_is_one_undo_and_by_another_is_refused():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    judgment = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    key = uuid4()
    withdraw(annotator, judgment, key)
    assert withdraw(annotator, judgment, key).replayed
    with pytest.raises(RefusedError):
        withdraw(annotator, judgment, uuid4())


def test_nobody_undoes_or_revises_what_somebody_else_said():
    sample = sample_of()
    first, second = annotator_of(sample), annotator_of(sample)
    slot = held_slot(sample, first)
    judgment = record_judgment(first, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    with pytest.raises(RefusedError) as refused:
        withdraw(second, judgment, uuid4())
    assert refused.value.standing is None
    with pytest.raises(RefusedError):
        revise(second, judgment, uuid4(), CORRECT)
    assert list(Judgment.objects.standing()) == [judgment]


def test_a_revision_supersedes_and_the_first_version_stays():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    first = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    key = uuid4()
    second = revise(annotator, first, key, CORRECT).judgment
    slot.refresh_from_db()
    assert (second.supersedes, slot.judgment, slot.state) == (first, second, "judged")
    assert list(Judgment.objects.standing()) == [second]
    assert revise(annotator, first, key, CORRECT).replayed
    with pytest.raises(RefusedError) as refused:
        revise(annotator, first, uuid4(), WRONG)
    assert refused.value.standing == second


def test_an_item_undone_and_left_goes_to_somebody_else_with_a_history_of_its_own():
    sample = sample_of(1)
    first, second = annotator_of(sample), annotator_of(sample)
    slot = held_slot(sample, first)
    judgment = record_judgment(first, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    withdraw(first, judgment, uuid4())
    hand_back(sample, first, [slot.pk])
    again = held_slot(sample, second)
    newer = record_judgment(second, again.pk, again.epoch, uuid4(), CORRECT).judgment
    assert newer.supersedes is None
    assert list(Judgment.objects.standing()) == [newer]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: Judgment.objects.filter(pk=row.pk).update(verdict=Verdict.UNSURE),
        lambda row: Judgment.objects.filter(pk=row.pk)._raw_delete("default"),
        lambda row: Judgment.objects.bulk_update([row], ["note"]),
        lambda _: connection.cursor().execute("DELETE FROM reviews_judgment"),
    ],
    ids=["update", "delete", "bulk update", "raw SQL"],
)
def test_r27_the_database_refuses_to_change_or_remove_a_judgment(change):
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    judgment = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(judgment)
    judgment.refresh_from_db()
    assert (judgment.verdict, judgment.note) == ("wrong_label", "a two")


def test_a_verdict_without_an_error_can_hold_no_corrected_label():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    with pytest.raises(RefusedError):
        record_judgment(annotator, slot.pk, slot.epoch, uuid4(), Answer(Verdict.LABEL_CORRECT, 1))
    assert not Judgment.objects.exists()


@settings(max_examples=15, deadline=None)
@given(acts=st.lists(st.sampled_from(["judge", "undo", "revise", "leave", "repeat"]), max_size=12))
def test_the_slot_always_shows_the_newest_version_that_stands(acts):
    sample = sample_of(1)
    annotator = annotator_of(sample)
    last_request = None
    for act in acts:
        slot = sample.slots.get()
        key = uuid4()
        if act == "judge" and (claimed := claim_slots(sample, annotator, 1)):
            last_request = (annotator, slot.pk, claimed[0].epoch, key, WRONG)
            record_judgment(*last_request)
        elif act == "undo" and slot.judgment:
            withdraw(annotator, slot.judgment, key)
        elif act == "revise" and slot.judgment:
            revise(annotator, slot.judgment, key, CORRECT)
        elif act == "leave":
            hand_back(sample, annotator, [slot.pk])
        elif act == "repeat" and last_request:
            assert record_judgment(*last_request).replayed
        slot.refresh_from_db()
        standing = list(Judgment.objects.filter(slot=slot).standing())
        assert standing == ([slot.judgment] if slot.judgment else [])
        assert (slot.state == "judged") == bool(standing)


@pytest.mark.django_db(transaction=True)
def test_r03_the_same_request_ten_times_at_once_makes_one_row():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot, key = held_slot(sample, annotator), uuid4()

    def submit(_):
        return record_judgment(annotator, slot.pk, slot.epoch, key, WRONG)

    answers = in_threads(submit, range(10))
    assert len({answer.judgment.pk for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9


@pytest.mark.django_db(transaction=True)
def test_r07_ten_windows_with_ten_verdicts_on_one_item_leave_one_and_nine_refusals():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)

    def submit(_) -> str:
        try:
            record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG)
        except RefusedError as refused:
            return f"refused, standing {refused.standing and refused.standing.verdict}"
        return "recorded"

    answers = in_threads(submit, range(10))
    assert sorted(answers) == ["recorded"] + ["refused, standing wrong_label"] * 9


@pytest.mark.django_db(transaction=True)
def test_an_undo_and_a_revision_at_once_leave_one_line_of_history():
    sample = sample_of()
    annotator = annotator_of(sample)
    slot = held_slot(sample, annotator)
    judgment = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment

    def change(number: int) -> str:
        try:
            if number % 2:
                withdraw(annotator, judgment, uuid4())
            else:
                revise(annotator, judgment, uuid4(), CORRECT)
        except RefusedError:
            return "refused"
        return "done"

    assert sorted(in_threads(change, range(8))) == ["done"] + ["refused"] * 7
    assert Judgment.objects.filter(superseded_by=None).count() == 1


def test_a_verdict_given_with_the_lease_before_counts_while_the_slot_is_ones_own_again():
    sample = sample_of(1)
    annotator, other = annotator_of(sample), annotator_of(sample)
    (slot,) = claim_slots(sample, annotator, 1)
    hand_back(sample, annotator, [slot.pk])
    (again,) = claim_slots(sample, annotator, 1)
    assert (again.pk, again.epoch) == (slot.pk, slot.epoch + 1)
    first = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), WRONG).judgment
    with pytest.raises(RefusedError):  # it is judged now
        record_judgment(annotator, slot.pk, slot.epoch, uuid4(), CORRECT)
    withdrawn = withdraw(annotator, first, uuid4()).judgment
    second = record_judgment(annotator, slot.pk, slot.epoch, uuid4(), CORRECT).judgment
    assert second.supersedes == withdrawn
    withdraw(annotator, second, uuid4())
    hand_back(sample, annotator, [slot.pk])
    claim_slots(sample, other, 1)
    with pytest.raises(RefusedError):  # and now it is somebody else's
        record_judgment(annotator, slot.pk, slot.epoch, uuid4(), CORRECT)
