"""What the review loop must keep whatever people and machines do (R01-R30), on both databases.

What needs a browser is in tests/browser; claims and verdicts one by one are in test_leases and
test_judgments.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import ProtectedError
from django.db.models.functions import Now
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import integers

from audit.evidence import load_evidence, write_evidence
from audit.models import Audit, AuditExpert, Role
from reviews.models import (
    Judgment,
    Mode,
    Referral,
    Reveal,
    ReviewSlot,
    Sample,
    Verdict,
)
from reviews.models.judgments import TAXONOMY_VERSION
from reviews.reports import curves
from reviews.services.judgments import (
    Answer,
    RefusedError,
    record_judgment,
    revise,
    withdraw,
)
from reviews.services.leases import claim_slots, hand_back, renew_leases, reopen_expired
from reviews.services.referrals import refer_item
from reviews.services.releases import build_release, order_release
from reviews.services.reveals import reveal_to
from reviews.services.sampling import freeze_sample
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.reviews.situations import make_mixed_audit
from tests.servers import in_threads

pytestmark = pytest.mark.django_db
BLIND = Answer(Verdict.WRONG_LABEL, 1, labels=(1,), mode=Mode.FULL)
CORRECT = Answer(Verdict.LABEL_CORRECT, labels=(0,), mode=Mode.FULL)


def sample_of(n_items: int = 4, votes_per_item: int = 1) -> Sample:
    audit = make_ready_audit(make_dataset(make_project(), n_items=max(n_items, 12)))
    return make_sample(audit, n_items, votes_per_item)


def annotator_of(sample: Sample) -> User:
    return make_member(sample.audit.dataset.project)


def judge_next(sample: Sample, person: User, answer: Answer = BLIND) -> Judgment:
    slot = claim_slots(sample, person, 1)[0]
    return record_judgment(person, slot.pk, slot.epoch, uuid4(), answer).judgment


def slots_from_judgments(sample: Sample) -> dict[int, int]:
    """Return the standing verdict of each judged slot, from the append-only rows alone."""
    rows = Judgment.objects.filter(slot__sample=sample, superseded_by=None).order_by("pk")
    return dict(rows.exclude(verdict=Verdict.WITHDRAWN).values_list("slot", "pk"))


def slots_as_stored(sample: Sample) -> dict[int, int]:
    return dict(sample.slots.filter(state="judged").values_list("pk", "judgment"))


# ----- R14, R15: undo and revise


def test_r14_undo_after_a_release_adds_a_row_and_leaves_the_release_as_it_was():
    sample = sample_of()
    person = annotator_of(sample)
    judgment = judge_next(sample, person)
    release = order_release(sample.audit, "lenient")
    assert build_release(release.pk)
    release.refresh_from_db()
    withdraw(person, judgment, uuid4())
    again = order_release(sample.audit, "lenient")
    assert again.last_judgment > release.last_judgment
    assert release.manifest["judged"] == 1
    assert build_release(again.pk)
    again.refresh_from_db()
    assert again.manifest["judged"] == 0


def test_r14_nobody_undoes_what_is_not_theirs_and_only_the_newest_version_is_undone():
    sample = sample_of()
    person, other = annotator_of(sample), annotator_of(sample)
    first = judge_next(sample, person)
    newer = revise(person, first, uuid4(), CORRECT).judgment
    for someone, judgment in ((other, newer), (person, first)):
        with pytest.raises(RefusedError):
            withdraw(someone, judgment, uuid4())
    withdraw(person, newer, uuid4())
    with pytest.raises(RefusedError):
        withdraw(person, newer, uuid4())
    assert Judgment.objects.count() == 3


def test_r15_a_revision_after_somebody_disagreed_keeps_the_history_and_moves_the_agreement():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=10, unflagged=4, votes_per_item=2)
    first, second = annotator_of(sample), annotator_of(sample)
    judge_next(sample, first, BLIND)
    judgment = judge_next(sample, second, Answer(Verdict.LABEL_CORRECT))
    before = curves(audit, "judgments", "lenient")["agreement"]
    assert (before["items_with_several_votes"], before["unanimous"]) == (1, 0)
    revise(second, judgment, uuid4(), BLIND)
    after = curves(audit, "judgments", "lenient")["agreement"]
    assert (after["items_with_several_votes"], after["unanimous"]) == (1, 1)
    assert Judgment.objects.filter(annotator=second).count() == 2


# ----- R17-R21: people, runs and words that come and go


@pytest.mark.row("A50")
def test_r17_one_person_never_fills_two_slots_of_an_item():
    sample = sample_of(1, votes_per_item=2)
    person = annotator_of(sample)
    judge_next(sample, person)
    assert claim_slots(sample, person, 5) == []
    free = sample.slots.get(state="open")
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewSlot.objects.filter(pk=free.pk).update(
            state="leased", annotator=person, leased_until=Now()
        )


@pytest.mark.parametrize("leave", ["removed", "deactivated"])
def test_r18_who_leaves_gives_items_back_within_a_sweep_and_their_verdicts_stay(leave):
    sample = sample_of()
    person = annotator_of(sample)
    judge_next(sample, person)
    claim_slots(sample, person, 2)
    if leave == "removed":
        person.memberships.all().delete()
    else:
        User.objects.filter(pk=person.pk).update(is_active=False)
    assert reopen_expired() == 2
    assert sample.slots.filter(state="open").count() == 3
    assert Judgment.objects.standing().get().annotator == person
    assert slots_from_judgments(sample) == slots_as_stored(sample)


@pytest.mark.parametrize("what", ["audit", "dataset", "project", "user", "item", "sample"])
def test_r19_nothing_that_verdicts_rest_on_can_be_deleted(what):
    sample = sample_of()
    person = annotator_of(sample)
    judgment = judge_next(sample, person)
    victim = {
        "audit": sample.audit,
        "dataset": sample.audit.dataset,
        "project": sample.audit.dataset.project,
        "user": person,
        "item": judgment.slot.sampled_item.item,
        "sample": sample,
    }[what]
    with pytest.raises(ProtectedError):
        victim.delete()
    assert Judgment.objects.get() == judgment


def test_r20_a_row_keeps_the_taxonomy_it_was_given_under_and_a_release_names_it():
    sample = sample_of()
    person = annotator_of(sample)
    judgment = judge_next(sample, person)
    assert judgment.taxonomy_version == TAXONOMY_VERSION
    release = order_release(sample.audit, "lenient")
    assert build_release(release.pk)
    release.refresh_from_db()
    taxonomy = release.manifest["taxonomy"]
    assert taxonomy["version"] == TAXONOMY_VERSION
    assert taxonomy["verdicts"][judgment.verdict] == "Wrong label"
    with pytest.raises(DatabaseError), transaction.atomic():
        Judgment.objects.filter(pk=judgment.pk).update(taxonomy_version=99)


def test_r20_a_verdict_that_no_taxonomy_has_is_refused_by_the_database():
    sample = sample_of()
    person = annotator_of(sample)
    slot = claim_slots(sample, person, 1)[0]
    row = Judgment(
        slot=slot,
        annotator=person,
        verdict="renamed",
        mode=Mode.FULL,
        stage="blind",
        idempotency_key=uuid4(),
        milliseconds=1,
        number=1,
    )
    with pytest.raises(IntegrityError, match="known_verdict"), transaction.atomic():
        row.save()


def audit_again(audit: Audit) -> Audit:
    """Another audit of the same data set by the same experts."""
    again = Audit.objects.create(
        dataset=audit.dataset, state="ready", work="done", n_bins=3, queue_counts={"ensemble": 0}
    )
    for expert in audit.experts.all():
        AuditExpert.objects.create(audit=again, score_set=expert.score_set, order=expert.order)
    write_evidence(again.pk, load_evidence(audit.pk))
    return again


def test_r21_a_new_audit_of_the_same_items_begins_without_verdicts():
    sample = sample_of()
    person = annotator_of(sample)
    judge_next(sample, person)
    second = make_sample(audit_again(sample.audit), 4)
    assert second.slots.filter(state="judged").count() == 0
    assert not Judgment.objects.filter(slot__sample=second).exists()
    judge_next(second, person, CORRECT)
    assert Judgment.objects.standing().count() == 2
    assert curves(sample.audit, "judgments", "lenient")["errors"] == 1
    assert curves(second.audit, "judgments", "lenient")["errors"] == 0


# ----- R23, R25: order and figures


def test_r23_the_order_is_fixed_and_what_was_put_off_or_handed_back_comes_round_again():
    sample = sample_of(8)
    person, other = annotator_of(sample), annotator_of(sample)
    held = claim_slots(sample, person, 3)
    assert [slot.order for slot in held] == [0, 1, 2]
    aside = [held[0].pk]
    assert [slot.order for slot in claim_slots(sample, person, 3, aside)] == [0, 1, 2, 3]
    hand_back(sample, person, [held[1].pk])
    assert [slot.order for slot in claim_slots(sample, other, 3)] == [1, 4, 5]
    seen = Counter()
    while slots := claim_slots(sample, person, 2):
        for slot in slots:
            record_judgment(person, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
            seen[slot.order] += 1
    assert seen == Counter([0, 2, 3, 6, 7])  # each once, the one put off among them


@pytest.mark.django_db(transaction=True)
def test_r25_figures_while_people_judge_are_those_of_the_rows_at_the_end():
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=30, unflagged=10)
    people = [annotator_of(sample) for _ in range(3)]

    def work(number: int) -> list[int]:
        if number == len(people):
            return [curves(audit, "judgments", "lenient")["judged"] for _ in range(4)]
        while claim_slots(sample, people[number], 1):
            judge_next(sample, people[number])
        return []

    *_, seen = in_threads(work, range(4), n_threads=4)
    assert seen == sorted(seen)
    assert slots_from_judgments(sample) == slots_as_stored(sample)
    once, again = (curves(audit, "judgments", "lenient") for _ in range(2))
    assert once == again
    assert once["judged"] == Judgment.objects.counted().count() == 40


# ----- flags and reveals under concurrency


@pytest.mark.django_db(transaction=True)
def test_ten_flags_and_ten_reveals_at_once_leave_one_row_each():
    sample = sample_of()
    person = annotator_of(sample)
    judgment = judge_next(sample, person)
    row = judgment.slot.sampled_item

    def act(number: int) -> None:
        if number % 2:
            refer_item(person, row, is_open=True)
        else:
            reveal_to(person, judgment)

    in_threads(act, range(20))
    assert Referral.objects.standing().count() == 1
    assert Reveal.objects.count() == 1


# ----- R26: whatever people do, in any order


class ReviewLoop(RuleBasedStateMachine):
    """Two annotators of two-vote items beside a model of plain dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.sample = sample_of(4, votes_per_item=2)
        self.people = [annotator_of(self.sample) for _ in range(3)]
        self.held: dict[int, tuple[int, int]] = {}  # slot -> (person, epoch)
        self.stands: dict[int, tuple[int, Judgment]] = {}  # slot -> (person, verdict)
        self.expired: set[int] = set()
        self.told: set[tuple[int, int]] = set()  # (sampled item, person)
        self.gone: set[int] = set()

    people_at_desk = integers(0, 2)

    def mine(self, who: int) -> set[int]:
        return {slot for slot, (holder, _) in self.held.items() if holder == who}

    def lost(self) -> set[int]:
        """Leases that ran out or whose holder has left: what a sweep opens."""
        return self.expired | {slot for slot, (who, _) in self.held.items() if who in self.gone}

    @rule(who=people_at_desk, wanted=integers(1, 3))
    def claim(self, who: int, wanted: int) -> None:
        if who in self.gone:
            return
        self.expired -= self.mine(who)  # claiming renews
        lost, before = self.lost(), self.mine(who)
        slots = claim_slots(self.sample, self.people[who], wanted)
        if len(slots) < wanted or lost & {slot.pk for slot in slots}:
            # There was not enough, so that the lost ones were opened, all of them.
            self.held = {slot: lease for slot, lease in self.held.items() if slot not in lost}
            self.expired = set()
        for slot in slots:
            assert slot.pk not in self.stands
            assert slot.pk in before or slot.pk not in self.held
            self.held[slot.pk] = (who, slot.epoch)
        assert before <= {slot.pk for slot in slots}

    @rule(who=people_at_desk)
    def heartbeat(self, who: int) -> None:
        mine = self.mine(who)
        assert set(renew_leases(self.sample, self.people[who])) == mine
        self.expired -= mine

    @rule(who=people_at_desk)
    def fall_silent(self, who: int) -> None:
        late = self.sample.slots.held_by(self.people[who])
        self.expired |= set(late.values_list("pk", flat=True))
        late.order_by().update(leased_until=Now() - timedelta(seconds=1))

    @rule()
    def sweep(self) -> None:
        lost = self.lost()
        assert reopen_expired(self.sample) == len(lost)
        for slot in lost:
            del self.held[slot]
        self.expired = set()

    @precondition(lambda self: self.held)
    @rule(place=integers(0, 20), answer=integers(0, 1))
    def submit(self, place: int, answer: int) -> None:
        slot = sorted(self.held)[place % len(self.held)]
        who, epoch = self.held.pop(slot)
        self.expired.discard(slot)
        person, key = self.people[who], uuid4()
        said = (BLIND, CORRECT)[answer]
        first = record_judgment(person, slot, epoch, key, said)
        assert record_judgment(person, slot, epoch, key, said).replayed
        row = first.judgment.slot.sampled_item_id
        assert first.judgment.stage == ("after" if (row, who) in self.told else "blind")
        self.stands[slot] = (who, first.judgment)

    @precondition(lambda self: self.stands)
    @rule(place=integers(0, 20), mine=integers(0, 2))
    def undo(self, place: int, mine: int) -> None:
        slot, (who, judgment) = sorted(self.stands.items())[place % len(self.stands)]
        if mine != who:
            with pytest.raises(RefusedError):
                withdraw(self.people[mine], judgment, uuid4())
            return
        withdraw(self.people[who], judgment, uuid4())
        del self.stands[slot]
        self.held[slot] = (who, ReviewSlot.objects.get(pk=slot).epoch)

    @precondition(lambda self: self.stands)
    @rule(place=integers(0, 20))
    def change_mind(self, place: int) -> None:
        slot, (who, judgment) = sorted(self.stands.items())[place % len(self.stands)]
        newer = revise(self.people[who], judgment, uuid4(), CORRECT).judgment
        self.stands[slot] = (who, newer)

    @precondition(lambda self: self.stands)
    @rule(place=integers(0, 20))
    def reveal(self, place: int) -> None:
        _, (who, judgment) = sorted(self.stands.items())[place % len(self.stands)]
        reveal_to(self.people[who], judgment)
        self.told.add((judgment.slot.sampled_item_id, who))

    @precondition(lambda self: self.held)
    @rule(place=integers(0, 20))
    def give_back(self, place: int) -> None:
        slot = sorted(self.held)[place % len(self.held)]
        who, _ = self.held.pop(slot)
        self.expired.discard(slot)
        assert hand_back(self.sample, self.people[who], [slot]) == 1

    @precondition(lambda self: not self.gone)
    @rule(who=people_at_desk)
    def remove_somebody(self, who: int) -> None:
        self.people[who].memberships.all().delete()
        self.gone.add(who)

    @invariant()
    def the_slots_are_what_the_model_says(self) -> None:
        stored = {
            slot: (state, annotator)
            for slot, state, annotator in self.sample.slots.values_list("pk", "state", "annotator")
        }
        for slot, seen in stored.items():
            if slot in self.stands:
                expected = ("judged", self.people[self.stands[slot][0]].pk)
            elif slot in self.held:
                expected = ("leased", self.people[self.held[slot][0]].pk)
            else:
                expected = ("open", None)
            assert seen == expected

    @invariant()
    def the_slots_can_be_rebuilt_from_the_judgments(self) -> None:
        expected = {slot: judgment.pk for slot, (_, judgment) in self.stands.items()}
        assert slots_as_stored(self.sample) == expected
        assert slots_from_judgments(self.sample) == expected

    @invariant()
    def no_vote_counts_twice(self) -> None:
        rows = Judgment.objects.counted().filter(slot__sample=self.sample)
        counted = Counter(rows.values_list("slot", flat=True))
        assert max(counted.values(), default=1) == 1


def test_r26_any_sequence_of_acts_leaves_the_state_that_a_plain_model_says():
    run_state_machine_as_test(
        ReviewLoop, settings=settings(max_examples=8, stateful_step_count=25, deadline=None)
    )


# ----- R27: append-only


def test_r27_not_even_an_admin_changes_a_verdict_by_way_of_a_cascade():
    sample = sample_of()
    make_member(sample.audit.dataset.project, Role.ADMIN)
    judgment = judge_next(sample, annotator_of(sample))
    changes = [Judgment.objects.all().delete, judgment.delete, judgment.slot.delete]
    for change in (lambda: Judgment.objects.update(note="other"), *changes):
        with pytest.raises((DatabaseError, ProtectedError)), transaction.atomic():
            change()
    judgment.refresh_from_db()
    assert judgment.note == ""
