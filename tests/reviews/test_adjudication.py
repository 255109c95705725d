"""A third vote on a split, an adjudicator on what stays open, and a decision that stands."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from audit.models import Role
from reviews.chains import check_chain
from reviews.decisions import Action, Snapshot, decide_all, load_rulings, load_votes
from reviews.disputes import agreed, count_disputes, find_disputes
from reviews.models import Adjudication, Judgment, Referral, Sample, SampledItem, Verdict
from reviews.services.adjudication import OvertakenError, Ruling, Seen, adjudicate, look
from reviews.services.judgments import Answer, record_judgment, revise, withdraw
from reviews.services.leases import claim_slots
from reviews.services.releases import build_release, order_release
from reviews.truths import load_truth
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads

pytestmark = pytest.mark.django_db
CORRECT, WRONG, UNSURE = Verdict.LABEL_CORRECT, Verdict.WRONG_LABEL, Verdict.UNSURE
A, B = (WRONG, 1), (WRONG, 2)
YES = (CORRECT, None)
# What those answers are as a whole, on an item labelled 0.
ALL_OF_A, ALL_OF_B, ALL_OF_YES = (WRONG, (1,)), (WRONG, (2,)), (CORRECT, (0,))


def make_reviewed(votes_per_item: int = 2, n_items: int = 6) -> Sample:
    audit = make_ready_audit(make_dataset(make_project(), n_items=n_items))
    return make_sample(audit, n_items, votes_per_item)


def vote(sample: Sample, *answers: tuple[str, int | None], place: int = 0) -> list[Judgment]:
    """One new person's vote after another, through the desk's own services."""
    given = []
    for verdict, label in answers:
        person = make_member(sample.audit.dataset.project)
        slots = claim_slots(sample, person, sample.n_items)
        slot = next(each for each in slots if each.sampled_item.order == place)
        answer = Answer(Verdict(verdict), corrected_label=label, milliseconds=800)
        given.append(record_judgment(person, slot.pk, slot.epoch, uuid4(), answer).judgment)
        sample.slots.held_by(person).update(
            state="open", annotator=None, leased_until=None, judgment=None
        )
    return given


def row_of(sample: Sample, place: int = 0) -> SampledItem:
    return sample.items.get(order=place)


def adjudicator_of(sample: Sample, role: Role = Role.MAINTAINER) -> User:
    return make_member(sample.audit.dataset.project, role)


def decide_item(sample: Sample, verdict: str, label: int | None = None, place: int = 0):
    row = row_of(sample, place)
    ruling = Ruling(Verdict(verdict), "seen at full size", label)
    return adjudicate(adjudicator_of(sample), row, ruling, look(row))


def waiting(sample: Sample) -> list[int]:
    return [each.row.order for each in find_disputes(sample) if not each.awaits_vote]


@pytest.mark.parametrize(
    ("answers", "answer"),
    [
        ([ALL_OF_YES, ALL_OF_YES], ALL_OF_YES),
        ([ALL_OF_YES, A], None),
        ([ALL_OF_A, ALL_OF_B], None),
        ([ALL_OF_A, ALL_OF_A, ALL_OF_B], ALL_OF_A),
        ([ALL_OF_YES, (UNSURE, ())], None),
        ([(UNSURE, ()), (UNSURE, ())], None),
        ([], None),
    ],
)
def test_an_answer_needs_more_than_half_of_all_votes_and_unsure_is_none(answers, answer):
    assert agreed(answers) == answer


@pytest.mark.parametrize(
    ("answers", "n_slots"),
    [([YES, YES], 2), ([YES, A], 3), ([A, B], 3), ([YES, (UNSURE, None)], 3), ([YES], 2)],
)
def test_two_votes_that_differ_ask_for_a_third_one(answers, n_slots):
    sample = make_reviewed()
    before = sample.n_votes
    vote(sample, *answers)
    sample.refresh_from_db()
    assert row_of(sample).slots.count() == n_slots
    assert sample.n_votes == before + n_slots - 2


@pytest.mark.parametrize(
    ("one", "other", "n_slots"),
    [
        (Answer(Verdict.MULTI_OBJECT, 1, labels=(0, 1)), {"labels": (0, 1, 2)}, 3),
        (Answer(WRONG, 1, labels=(1, 2)), {"labels": (1,)}, 3),
        (Answer(Verdict.MULTI_OBJECT, 1, labels=(0, 1)), {"labels": (1, 0)}, 2),  # in another order
        (Answer(WRONG, 1, labels=(1,)), {"severity": 3}, 2),  # how bad it is doesn't count
        (Answer(WRONG, 1, labels=(1,)), {"labels": None}, 2),  # given at the quick desk
    ],
)
def test_a_third_vote_is_asked_where_the_whole_answers_differ(one, other, n_slots):
    sample = make_reviewed()
    for answer in (one, replace(one, **other)):
        person = make_member(sample.audit.dataset.project)
        slot = claim_slots(sample, person, 1)[0]
        record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
    assert row_of(sample).slots.count() == n_slots
    assert len(find_disputes(sample)) == n_slots - 2


def test_no_third_vote_where_it_is_switched_off_or_others_than_two_are_asked():
    off = make_reviewed()
    Sample.objects.filter(pk=off.pk).update(adds_third_vote=False)
    vote(off, YES, A)
    three = make_reviewed(votes_per_item=3)
    vote(three, YES, A)
    assert (row_of(off).slots.count(), row_of(three).slots.count()) == (2, 3)
    assert waiting(off) == [0]  # straight to the adjudicator


def test_a_change_of_mind_that_makes_a_split_asks_for_a_third_vote_too():
    sample = make_reviewed()
    first, _ = vote(sample, YES, YES)
    revise(first.annotator, first, uuid4(), Answer(WRONG, corrected_label=1))
    assert row_of(sample).slots.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_votes_at_one_moment_ask_for_one_third_vote():
    sample = make_reviewed(n_items=12)
    people = [make_member(sample.audit.dataset.project) for _ in range(2)]
    held = [(who, slot) for who in people for slot in claim_slots(sample, who, 12)]
    held.sort(key=lambda one: one[1].sampled_item.order)

    def judge(one):
        who, slot = one
        answer = Answer(CORRECT if who == people[0] else WRONG)
        record_judgment(who, slot.pk, slot.epoch, uuid4(), answer)

    in_threads(judge, held)
    assert sample.slots.count() == 36
    assert set(sample.slots.filter(state="open").values_list("number", flat=True)) == {3}


def test_the_queue_holds_what_three_votes_leave_open_and_what_is_flagged():
    sample = make_reviewed()
    vote(sample, YES, YES, place=0)
    vote(sample, YES, A, place=1)
    vote(sample, YES, A, B, place=2)
    vote(sample, YES, A, A, place=3)
    Referral.objects.create(
        sampled_item=row_of(sample, 4), annotator=adjudicator_of(sample), note="blurred"
    )
    assert waiting(sample) == [2, 4]
    assert [each.row.order for each in find_disputes(sample) if each.awaits_vote] == [1]
    admin = adjudicator_of(sample)
    assert count_disputes(admin) == {sample.audit_id: 2}
    assert count_disputes(make_member(sample.audit.dataset.project)) == {}
    assert count_disputes(make_member(make_project(), Role.ADMIN)) == {}


def test_a_decision_leaves_the_queue_answers_the_flag_and_takes_back_the_third_vote():
    sample = make_reviewed()
    first, _ = vote(sample, YES, A)
    Referral.objects.create(sampled_item=row_of(sample), annotator=first.annotator)
    assert waiting(sample) == [0]
    decide_item(sample, WRONG, 2)
    sample.refresh_from_db()
    assert find_disputes(sample) == []
    assert (row_of(sample).slots.count(), sample.n_votes) == (2, 12)
    Referral.objects.update(is_open=True)
    assert waiting(sample) == [0]


@pytest.mark.parametrize(("policy", "is_error"), [("lenient", True), ("strict", False)])
def test_an_adjudicated_verdict_overrides_the_majority_in_reports(policy, is_error):
    sample = make_reviewed()
    vote(sample, YES, YES)
    vote(sample, YES, YES, place=1)
    assert load_truth(sample.audit, "judgments", policy).is_error.tolist() == [False, False]
    decide_item(sample, Verdict.SIMILAR_CLASS, 1)
    truth = load_truth(sample.audit, "judgments", policy)
    assert truth.is_error.tolist() == [is_error, False]
    assert (truth.n_adjudicated, truth.n_unanimous) == (1, 2)
    decide_item(sample, UNSURE)
    truth = load_truth(sample.audit, "judgments", policy)
    assert (truth.judged.tolist(), truth.unsure.tolist()) == ([1], [0])


def test_an_adjudicated_verdict_overrides_the_majority_in_releases_from_then_on(fresh_home):
    sample = make_reviewed()
    vote(sample, A, A)
    before = order_release(sample.audit, "lenient")
    ruled = decide_item(sample, CORRECT)
    after = order_release(sample.audit, "lenient")
    for release in (before, after):
        assert build_release(release.pk)
        release.refresh_from_db()
    folder = fresh_home / "releases" / str(sample.audit_id)
    rows = [(folder / name / "labels.csv").read_text().splitlines()[1] for name in "12"]
    assert rows[0].endswith(",relabelled,wrong_label,2,")
    assert rows[1].endswith(",kept,label_correct,2,adjudicated")
    votes = (folder / "2" / "votes.csv").read_text()
    assert f"adjudication {ruled.pk},adjudicator,label_correct" in votes
    assert after.manifest["last_adjudication_sha256"] == ruled.hash
    assert check_chain(Sample.objects.get(pk=sample.pk)).fault is None


def test_an_item_without_a_vote_may_be_decided_and_counts():
    sample = make_reviewed()
    decide_item(sample, WRONG, 2, place=3)
    assert load_truth(sample.audit, "judgments", "lenient").judged.tolist() == [3]
    now = Snapshot.now(sample.audit)
    decided = decide_all(
        sample.audit, "lenient", load_votes(sample.audit, 0),
        load_rulings(sample.audit, now.adjudication),
    )  # fmt: skip
    assert (decided[3].action, decided[3].cleaned_label) == (Action.RELABELLED, 2)


def test_r14_an_undo_after_the_decision_adds_a_row_and_the_decision_stands():
    sample = make_reviewed()
    first, _ = vote(sample, A, A)
    ruled = decide_item(sample, CORRECT)
    withdraw(first.annotator, first, uuid4())
    assert Judgment.objects.count() == 3
    assert Adjudication.objects.standing().get() == ruled
    assert load_truth(sample.audit, "judgments", "lenient").is_error.tolist() == [False]


def test_r16_the_second_of_two_adjudicators_learns_that_the_first_has_decided():
    sample = make_reviewed()
    vote(sample, YES, A)
    row = row_of(sample)
    seen = look(row)
    first, second = adjudicator_of(sample), adjudicator_of(sample)
    ruling = Ruling(WRONG, "it is a two", 2)
    kept = adjudicate(first, row, ruling, seen)
    assert adjudicate(first, row, ruling, seen) == kept  # a double click
    with pytest.raises(OvertakenError, match="somebody has decided"):
        adjudicate(second, row, Ruling(CORRECT, "it is a one"), seen)
    assert Adjudication.objects.get() == kept
    again = adjudicate(second, row, Ruling(CORRECT, "it is a one"), look(row))
    assert (again.supersedes, Adjudication.objects.standing().get()) == (kept, again)


def test_a_vote_that_changed_meanwhile_stops_the_decision():
    sample = make_reviewed()
    first, _ = vote(sample, YES, A)
    row = row_of(sample)
    seen = look(row)
    revise(first.annotator, first, uuid4(), Answer(WRONG, corrected_label=1))
    with pytest.raises(OvertakenError, match="vote on this item has changed"):
        adjudicate(adjudicator_of(sample), row, Ruling(CORRECT, "a one"), seen)


@pytest.mark.django_db(transaction=True)
def test_r16_of_eight_adjudicators_at_one_moment_one_decides():
    sample = make_reviewed()
    vote(sample, YES, A)
    row = row_of(sample)
    seen = look(row)
    people = [adjudicator_of(sample) for _ in range(8)]

    def rule(person: User) -> bool:
        try:
            adjudicate(person, row, Ruling(CORRECT, f"because {person}"), seen)
        except OvertakenError:
            return False
        return True

    assert sum(in_threads(rule, people, 8)) == 1
    assert Adjudication.objects.count() == 1
    assert check_chain(Sample.objects.get(pk=sample.pk)).fault is None


@pytest.mark.parametrize("act", ["update", "delete"])
def test_r27_a_decision_is_neither_changed_nor_removed(act):
    sample = make_reviewed()
    row = decide_item(sample, CORRECT)
    rows = Adjudication.objects.filter(pk=row.pk)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(reason="another") if act == "update" else rows._raw_delete(rows.db)
    assert rows.get().reason == "seen at full size"


# ----- the pages


def log_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def address(sample: Sample, place: int = 0) -> str:
    item = row_of(sample, place).item_id
    return reverse("reviews:adjudicate_item", args=[sample.audit_id, item])


def form(seen: Seen, **changes: object) -> dict[str, object]:
    return {
        "verdict": "wrong_label",
        "labels": "2",
        "reason": "it is a two",
        "seen_adjudication": seen.adjudication,
        "seen_judgment": seen.judgment,
        "ui_version": "9.9",
        **changes,
    }


def test_the_case_file_shows_votes_notes_times_label_and_experts():
    sample = make_reviewed()
    first, _ = vote(sample, YES, A)
    revise(first.annotator, first, uuid4(), Answer(WRONG, 2, "<b>now</b> a two", 2500))
    Referral.objects.create(
        sampled_item=row_of(sample), annotator=first.annotator, note="<script>alert(1)</script>"
    )
    page = log_in(adjudicator_of(sample)).get(address(sample)).content.decode()
    assert "&lt;b&gt;now&lt;/b&gt; a two" in page
    assert "<script>alert" not in page
    assert page.count("under a second") == 2  # the first version and the other vote
    for words in ("2.5 s", "before that: Label correct", "stub:3-0", "Flagged by", "class 2"):
        assert words in page


def test_the_page_records_a_decision_and_leads_to_the_next_item():
    sample = make_reviewed()
    vote(sample, YES, A, B)
    vote(sample, YES, A, B, place=2)
    client = log_in(adjudicator_of(sample))
    answer = client.post(address(sample), form(look(row_of(sample))))
    assert (answer.status_code, answer.url) == (302, address(sample, 2))
    ruled = Adjudication.objects.get()
    assert (ruled.verdict, ruled.corrected_label, ruled.reason) == ("wrong_label", 2, "it is a two")
    assert ruled.ui_version == "9.9"
    answer = client.post(address(sample, 2), form(look(row_of(sample, 2)), labels="1"))
    assert answer.url == reverse("reviews:adjudication", args=[sample.audit_id])
    page = client.get(answer.url).content.decode()
    assert "Nothing waits for a decision" in page
    assert "2 decided" in page


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": " "},
        {"verdict": "renamed"},
        {"verdict": ""},
        {"labels": "0"},  # the given label
        {"labels": "3"},
        {"labels": ["1", "x"]},
        {"labels": "-1"},
        {"other_class": "no such class"},
        {"other_class": "\u00b2"},
        {"other_class": "9" * 300},
        {"seen_judgment": "x"},
    ],
)
def test_what_is_no_decision_is_refused_and_leaves_nothing(changes):
    sample = make_reviewed()
    vote(sample, YES, A)
    client = log_in(adjudicator_of(sample))
    answer = client.post(address(sample), form(look(row_of(sample)), **changes))
    assert answer.status_code == 422
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"verdict": "multi_object", "labels": ["1", "2"]}, (1, [0, 1, 2])),  # the given holds too
        ({"verdict": "multi_object", "labels": ["0", "2"], "other_class": "1"}, (2, [0, 2, 1])),
        ({"verdict": "wrong_label", "labels": ["1", "2"], "main": "2"}, (2, [2, 1])),
        ({"verdict": "wrong_label", "labels": []}, (None, None)),  # nobody can name it
        ({"verdict": "label_correct", "labels": ["1"]}, (None, None)),
    ],
)
def test_a_decision_names_every_class_that_holds(sent, stored):
    sample = make_reviewed()
    vote(sample, YES, A)
    client = log_in(adjudicator_of(sample))
    answer = client.post(address(sample), form(look(row_of(sample)), **sent))
    assert answer.status_code == 302
    ruled = Adjudication.objects.get()
    assert (ruled.corrected_label, ruled.labels) == stored
    assert check_chain(Sample.objects.get(pk=sample.pk)).fault is None


@pytest.mark.parametrize(
    ("verdict", "labels"),
    [("multi_object", ["0"]), ("wrong_label", ["0", "1"]), ("similar_class", ["0"])],
)
def test_a_verdict_that_contradicts_what_is_ticked_is_refused_and_the_ticks_stay(verdict, labels):
    sample = make_reviewed()
    client = log_in(adjudicator_of(sample))
    answer = client.post(address(sample), form(Seen(), verdict=verdict, labels=labels))
    assert answer.status_code == 422
    assert answer.context["form"].ticked == set(labels)
    assert not Adjudication.objects.exists()


def test_every_class_of_a_decision_reaches_the_release():
    sample = make_reviewed()
    ruling = Ruling(Verdict.MULTI_OBJECT, "all three", 1, labels=(0, 1, 2))
    adjudicate(adjudicator_of(sample), row_of(sample), ruling, look(row_of(sample)))
    now = Snapshot.now(sample.audit)
    rulings = load_rulings(sample.audit, now.adjudication)
    decided = decide_all(sample.audit, "lenient", {}, rulings)
    assert (decided[0].action, decided[0].labels) == (Action.LABEL_ADDED, [0, 1, 2])


@pytest.mark.parametrize("typed", ["class 1", "class 1 (1)", "1"])
def test_another_class_is_found_by_name_or_number(typed):
    sample = make_reviewed()
    client = log_in(adjudicator_of(sample))
    client.post(address(sample), form(Seen(), labels=[], other_class=typed))
    assert Adjudication.objects.get().corrected_label == 1


def test_r16_the_page_answers_409_with_what_stands_and_keeps_what_was_written():
    sample = make_reviewed()
    vote(sample, YES, A)
    seen = look(row_of(sample))
    decide_item(sample, CORRECT)
    client = log_in(adjudicator_of(sample))
    answer = client.post(address(sample), form(seen, reason="my own long reason"))
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "somebody has decided this item meanwhile" in page
    assert "seen at full size" in page
    assert "my own long reason" in page
    again = form(look(row_of(sample)), reason="my own long reason")
    assert client.post(address(sample), again).status_code == 302
    assert Adjudication.objects.count() == 2


def test_annotators_neither_see_nor_decide():
    sample = make_reviewed()
    vote(sample, YES, A)
    client = log_in(make_member(sample.audit.dataset.project))
    assert client.get(address(sample)).status_code == 404
    assert client.post(address(sample), form(look(row_of(sample)))).status_code == 404
    elsewhere = log_in(make_member(make_project(), Role.ADMIN))
    assert elsewhere.post(address(sample), form(look(row_of(sample)))).status_code == 404
    assert not Adjudication.objects.exists()


def test_home_says_how_many_items_wait_for_whoever_may_decide():
    sample = make_reviewed()
    vote(sample, YES, A, B)
    page = log_in(adjudicator_of(sample)).get("/").content.decode()
    assert reverse("reviews:adjudication", args=[sample.audit_id]) in page
    assert "1 item with split votes or a flag" in page
    other = log_in(make_member(sample.audit.dataset.project)).get("/").content.decode()
    assert "split votes" not in other


@pytest.mark.parametrize("drawn", [False, True])
def test_the_empty_page_says_in_words_what_would_come_here(drawn):
    audit = make_ready_audit()
    if drawn:
        make_sample(audit, 3)
    client = log_in(make_member(audit.dataset.project, Role.ADMIN))
    page = client.get(reverse("reviews:adjudication", args=[audit.pk])).content.decode()
    assert ("only flags lead here" if drawn else "No sample is drawn yet") in page


def test_the_list_costs_a_fixed_number_of_queries(django_assert_max_num_queries):
    sample = make_reviewed()
    for place in range(5):
        vote(sample, YES, A, B, place=place)
    client = log_in(adjudicator_of(sample))
    with django_assert_max_num_queries(18):
        client.get(reverse("reviews:adjudication", args=[sample.audit_id]))
    with django_assert_max_num_queries(32):
        client.get(address(sample))
