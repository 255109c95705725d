"""Gold and training: looks like any other item, tells about the annotator, counts for nothing."""

from __future__ import annotations

import json
from collections import Counter
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import Audit, Role
from reviews.decisions import Snapshot, load_votes
from reviews.disputes import find_disputes
from reviews.gold_figures import gold_figures
from reviews.ledgers import ledger_rows
from reviews.models import (
    Judgment,
    KnownItem,
    Mode,
    QualityPlan,
    ReviewSlot,
    Sample,
    SampledClass,
    SampledItem,
    Training,
    Verdict,
    Vote,
    VoteSource,
)
from reviews.reports import curves
from reviews.services.adjudication import Ruling, adjudicate, look
from reviews.services.judgments import Answer, record_judgment
from reviews.services.known_items import (
    Known,
    MarkingError,
    mark_adjudicated,
    mark_by_hand,
    mark_from_votes,
    retire,
)
from reviews.services.leases import claim_slots, hand_back
from reviews.services.sampling import discard_sample, freeze_sample
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.servers import in_threads

pytestmark = pytest.mark.django_db
CORRECT, WRONG = Verdict.LABEL_CORRECT, Verdict.WRONG_LABEL
GOLD, TRAINING = KnownItem.Use.GOLD, KnownItem.Use.TRAINING


def make_audit(n_items: int = 40, n_drawn: int = 20, votes_per_item: int = 1) -> Audit:
    audit = make_ready_audit(make_dataset(make_project(), n_items=n_items))
    make_sample(audit, n_drawn, votes_per_item)
    return audit


def mark(audit: Audit, n_items: int = 8, use: str = GOLD, share: float = 0.5) -> list[KnownItem]:
    """Mark the last items of the data set: label errors and correct ones in turn."""
    QualityPlan.objects.update_or_create(audit=audit, defaults={"gold_share": share})
    admin = make_member(audit.dataset.project, Role.ADMIN)
    items = list(audit.dataset.items.order_by("-position")[:n_items])
    return [
        mark_by_hand(audit, item, use, answer_of(item.pk, place, item.given_label), admin)
        for place, item in enumerate(items)
    ]


def answer_of(item: int, place: int, given: int) -> Known:
    if place % 2:
        return Known(item, CORRECT, why="look at the stroke")
    return Known(item, WRONG, (given + 1) % 3, "the loop is open")


def judge_all(audit: Audit, person: User, says: str = CORRECT) -> list[Judgment]:
    """Everything the person is given, one batch after another."""
    said = []
    while slots := claim_slots(audit.sample, person):
        for slot in slots:
            answer = Answer(Verdict(says), milliseconds=900)
            recorded = record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
            said.append(recorded.judgment)
    return said


def log_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def post(client: Client, action: str, audit: Audit, **body: object):
    address = reverse(f"reviews:{action}", args=[audit.pk])
    return client.post(address, json.dumps(body), content_type="application/json")


def shape(value: object) -> object:
    """What kind of thing a JSON value is, lists aside: how long they are is the item's own."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("mode", ["full", "quick"])
def test_a_gold_item_looks_like_every_other_one(mode):
    audit = make_audit()
    mark(audit)
    client = log_in(make_member(audit.dataset.project))
    purposes, shapes, answers = {}, {}, Counter()
    for _ in range(40):
        items = post(client, "lease", audit, mode=mode).json()["items"]
        if not items:
            break
        for item in items:
            slot = ReviewSlot.objects.get(pk=item["slot"])
            purposes[slot.pk] = slot.purpose
            # Categories have one entry per class that is near the label: not of the item's kind.
            shapes[slot.pk] = shape({**item, "categories": None, "chosen": None})
            body = {"key": str(uuid4()), "ticket": item["ticket"], "mode": mode,
                    "verdict": "unsure", "milliseconds": 700}  # fmt: skip
            answer = post(client, "judge", audit, **body)
            answers[slot.purpose, answer.status_code, str(shape(answer.json()))] += 1
    kinds = Counter(purposes.values())
    assert kinds["estimate"] == 20
    assert kinds["gold"] >= 2
    assert len({str(each) for each in shapes.values()}) == 1
    assert len({key[1:] for key in answers}) == 1
    judged = post(client, "lease", audit, mode=mode, recall=True).json()["judged"]
    assert judged == 20 + kinds["gold"]  # what is counted before their eyes goes up with each


def test_neither_number_nor_place_of_a_slot_says_that_it_is_gold():
    audit = make_audit(n_items=50, n_drawn=30)
    last = audit.sample.slots.order_by("-pk").values_list("pk", flat=True)[0]
    mark(audit, n_items=20, share=0.4)
    person = make_member(audit.dataset.project)
    judge_all(audit, person)
    gold = audit.sample.slots.filter(purpose="gold")
    assert gold.count() >= 3
    # Every gold item stands in a row that was there from the start; what gave way to it doesn't.
    assert gold.filter(pk__gt=last).count() == 0
    assert audit.sample.slots.filter(pk__gt=last, purpose="estimate").count() == gold.count()
    assert audit.sample.slots.for_estimates().count() == 30
    assert {slot.number for slot in audit.sample.slots.for_estimates()} == {1}


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_as_much_of_what_somebody_sees_is_gold_as_the_plan_says(share):
    audit = make_audit(n_items=100, n_drawn=30)
    mark(audit, n_items=60, share=share)
    judge_all(audit, make_member(audit.dataset.project))
    n_gold = audit.sample.slots.filter(purpose="gold").count()
    expected = 30 * share / (1 - share)
    assert abs(n_gold - expected) <= 5 * expected**0.5


def test_nothing_that_is_said_of_gold_enters_an_estimate_a_release_or_a_queue():
    audit = make_audit(votes_per_item=2)
    before = curves(audit, "judgments", "lenient")
    mark(audit)
    people = [make_member(audit.dataset.project) for _ in range(2)]
    for person in people:
        judge_all(audit, person)
    sample = Sample.objects.get(audit=audit)
    n_gold = Judgment.objects.filter(slot__purpose="gold").count()
    assert n_gold >= 4
    after = curves(audit, "judgments", "lenient")
    assert (before["judged"], after["judged"], after["errors"]) == (0, 20, 0)
    assert after["first_sight"]["quick"] == 40
    votes = load_votes(audit, Snapshot.now(audit).judgment)
    assert (len(votes), sum(len(each) for each in votes.values())) == (20, 40)
    assert find_disputes(sample) == []
    assert len(list(ledger_rows(sample))) == 20
    assert (sample.n_votes, sample.slots.for_estimates().count()) == (40, 40)


def test_a_sampled_gold_item_is_shown_once_to_each_and_never_after_it_is_retired():
    audit = make_audit()
    known = mark(audit, n_items=2)
    retire(known[0])
    people = [make_member(audit.dataset.project) for _ in range(3)]
    for person in people:
        judge_all(audit, person)
    shown = audit.sample.slots.filter(purpose="gold").values_list("sampled_item__item", flat=True)
    assert set(shown) <= {known[1].item_id}
    assert len(shown) <= 3


def test_adjudicated_items_serve_as_gold_for_those_who_had_no_part_in_them():
    audit = make_audit(n_drawn=6, votes_per_item=1)
    first, second = (make_member(audit.dataset.project) for _ in range(2))
    *begun, last = claim_slots(audit.sample, first)
    for slot in begun:
        record_judgment(first, slot.pk, slot.epoch, uuid4(), Answer(CORRECT))
    hand_back(audit.sample, first, [last.pk])
    admin = make_member(audit.dataset.project, Role.ADMIN)
    row = audit.sample.items.get(order=0)
    adjudicate(admin, row, Ruling(WRONG, "it is a two", 2), look(row))
    marked = mark_adjudicated(audit, GOLD, 5, admin)
    assert [(each.item, each.verdict, each.why) for each in marked] == [
        (row.item, "wrong_label", "it is a two")
    ]
    with pytest.raises(MarkingError, match="no decided item is left"):
        mark_adjudicated(audit, GOLD, 5, admin)
    QualityPlan.objects.update_or_create(audit=audit, defaults={"gold_share": 0.5})
    for _ in range(40):  # until the lot falls on the gold item
        slots = claim_slots(audit.sample, second)
        if any(slot.purpose == "gold" for slot in slots):
            break
        hand_back(audit.sample, second, [slot.pk for slot in slots])
    assert {slot.sampled_item_id for slot in slots if slot.purpose == "gold"} == {row.pk}
    judge_all(audit, second)
    votes = load_votes(audit, Snapshot.now(audit).judgment)
    assert len(votes[row.item.position]) == 1  # the vote on gold is none of the item's votes


def test_a_decision_that_is_itself_unsure_makes_no_gold():
    audit = make_audit(n_drawn=6)
    admin = make_member(audit.dataset.project, Role.ADMIN)
    for order, verdict in enumerate([Verdict.UNSURE, CORRECT]):
        row = audit.sample.items.get(order=order)
        adjudicate(admin, row, Ruling(verdict, "seen at full size"), look(row))
    assert [each.item for each in mark_adjudicated(audit, GOLD, 5, admin)] == [row.item]


def test_gold_leaves_the_examples_of_its_class():
    audit = make_audit()
    gold, other = audit.dataset.items.order_by("-position")[:2]
    SampledClass.objects.create(sample=audit.sample, index=0, exemplars=[gold.pk, other.pk])
    mark(audit, n_items=1)
    assert SampledClass.objects.get().exemplars == [other.pk]


def judge_gold(audit: Audit, row: SampledItem, answer: Answer) -> None:
    person = make_member(audit.dataset.project)
    slot = ReviewSlot.objects.create(
        sample=audit.sample, sampled_item=row, order=0, purpose="gold", epoch=1,
        number=row.slots.count() + 1, state="leased", annotator=person,
        leased_until="2030-01-01T00:00Z",
    )  # fmt: skip
    record_judgment(person, slot.pk, 1, uuid4(), answer)


@pytest.mark.parametrize(("mode", "n_counted"), [(Mode.FULL, 0), (Mode.QUICK, 1)])
def test_gold_figures_leave_the_revealed_arm_out_as_the_curves_do(mode, n_counted):
    audit = make_audit()
    (known,) = mark(audit, n_items=1)
    Sample.objects.update(revealed_share=1)
    labels = (known.corrected_label,) if mode == Mode.FULL else None
    row = SampledItem.objects.get(stratum=None)
    judge_gold(audit, row, Answer(WRONG, 1, labels=labels, mode=mode))
    assert Judgment.objects.get().stage == "revealed"
    assert gold_figures(audit, "lenient")[0].n == n_counted


def test_being_unsure_of_gold_is_neither_right_nor_wrong_and_retired_gold_still_counts():
    audit = make_audit()
    for known in mark(audit, n_items=2):
        row = SampledItem.objects.get(item=known.item)
        judge_gold(audit, row, Answer(Verdict.UNSURE))
        judge_gold(audit, row, Answer(CORRECT))
        retire(known)
    overall, _ = gold_figures(audit, "lenient")
    assert (overall.n_errors, overall.n_found, overall.n_unsure) == (1, 0, 2)
    assert (overall.n_correct, overall.n_cleared) == (1, 1)


def test_items_of_the_sample_that_still_get_votes_cannot_be_marked():
    audit = make_audit()
    admin = make_member(audit.dataset.project, Role.ADMIN)
    item = audit.sample.items.get(order=3).item
    with pytest.raises(MarkingError, match="is in the sample"):
        mark_by_hand(audit, item, GOLD, Known(item.pk, CORRECT), admin)
    known = mark(audit, n_items=1)[0]
    with pytest.raises(MarkingError, match="marked already"):
        mark_by_hand(audit, known.item, GOLD, Known(known.item_id, CORRECT), admin)


def test_an_outside_source_gives_as_many_errors_as_correct_labels_outside_the_sample():
    audit = make_audit(n_items=60, n_drawn=20)
    source = VoteSource.objects.create(dataset=audit.dataset, name="planted")
    for item in audit.dataset.items.all():
        is_error = item.position % 3 == 0
        label = (item.given_label + 1) % 3 if is_error else item.given_label
        Vote.objects.create(source=source, item=item, annotator="a", labels=[label])
    torn = audit.dataset.items.get(position=59)
    Vote.objects.create(source=source, item=torn, annotator="b", labels=[])
    admin = make_member(audit.dataset.project, Role.ADMIN)
    marked = mark_from_votes(audit, source, GOLD, 20, admin)
    assert Counter(each.verdict for each in marked) == {"wrong_label": 10, "label_correct": 10}
    assert min(each.item.position for each in marked) >= 20
    assert torn.pk not in {each.item_id for each in marked}
    assert all(
        each.corrected_label == (each.item.given_label + 1) % 3
        for each in marked
        if each.verdict == "wrong_label"
    )


def test_marks_outlive_a_sample_that_is_drawn_anew():
    audit = make_ready_audit(make_dataset(make_project(), n_items=30))
    freeze_sample(audit, size=6, unflagged=4)
    drawn = set(SampledItem.objects.values_list("item", flat=True))
    free = audit.dataset.items.exclude(pk__in=drawn).first()
    mark_by_hand(
        audit, free, GOLD, Known(free.pk, CORRECT), make_member(audit.dataset.project, Role.ADMIN)
    )
    discard_sample(Sample.objects.get())
    freeze_sample(audit, size=6, unflagged=4, seed=0)
    row = SampledItem.objects.get(item=free)
    assert row.stratum is None
    assert row.candidates
    assert row.sample.items.drawn().count() == 10


def test_sensitivity_and_specificity_with_intervals_per_annotator_and_overall():
    audit = make_audit(n_items=60, n_drawn=20)
    mark(audit, n_items=40, share=0.5)
    sharp, lazy = (make_member(audit.dataset.project, name=name) for name in ("sharp", "lazy"))
    known = {each.item_id: each.verdict for each in KnownItem.objects.all()}
    for person in (sharp, lazy):
        for row in SampledItem.objects.filter(stratum=None):
            slot = ReviewSlot.objects.create(
                sample=audit.sample, sampled_item=row, order=0, purpose="gold", epoch=1,
                number=row.slots.count() + 1, state="leased", annotator=person,
                leased_until="2030-01-01T00:00Z",
            )  # fmt: skip
            says = known[row.item_id] if person == sharp else CORRECT
            record_judgment(person, slot.pk, 1, uuid4(), Answer(Verdict(says)))
    overall, each = gold_figures(audit, "lenient")
    assert [
        (row.name, row.n_found, row.n_errors, row.n_cleared, row.n_correct) for row in each
    ] == [
        ("lazy", 0, 20, 20, 20),
        ("sharp", 20, 20, 20, 20),
    ]
    assert (overall.sensitivity.estimate, overall.specificity.estimate) == (0.5, 1.0)
    assert 0.34 < overall.sensitivity.low < 0.36  # Wilson, 20 of 40: .3505
    assert each[0].sensitivity.high == pytest.approx(0.161, abs=0.002)


def train(audit: Audit, n_training: int = 3) -> list[KnownItem]:
    known = mark(audit, n_items=5, use=TRAINING)
    QualityPlan.objects.filter(audit=audit).update(n_training=n_training, gold_share=0)
    return known


def test_training_comes_first_tells_answer_and_why_and_is_recorded_not_counted():
    audit = make_audit(n_drawn=6)
    train(audit)
    person = make_member(audit.dataset.project)
    client = log_in(person)
    items = post(client, "lease", audit, mode="quick").json()["items"]
    assert [item["is_training"] for item in items] == [True, True, True]
    for place, item in enumerate(items):
        assert not Training.objects.exists()
        body = {"key": str(uuid4()), "ticket": item["ticket"], "mode": "quick",
                "verdict": "wrong_label", "milliseconds": 700}  # fmt: skip
        answer = post(client, "judge", audit, **body).json()
        is_error = place % 2 == 0
        assert answer["feedback"]["is_right"] is is_error
        assert answer["feedback"]["why"] == (
            "the loop is open" if is_error else "look at the stroke"
        )
        assert (answer["feedback"]["corrected"] is not None) is is_error
    items = post(client, "lease", audit, mode="quick").json()["items"]
    assert [item["is_training"] for item in items] == [False] * 6
    training = Training.objects.get()
    assert (training.annotator, training.n_items, training.n_right) == (person, 3, 2)
    assert Judgment.objects.counted().count() == 0
    assert curves(audit, "judgments", "lenient")["judged"] == 0
    assert load_votes(audit, Snapshot.now(audit).judgment) == {}


def test_training_that_is_left_and_taken_up_again_goes_on_where_it_was():
    audit = make_audit(n_drawn=6)
    train(audit)
    person = make_member(audit.dataset.project)
    slots = claim_slots(audit.sample, person)
    record_judgment(person, slots[0].pk, slots[0].epoch, uuid4(), Answer(CORRECT))
    hand_back(audit.sample, person, [slot.pk for slot in slots[1:]])
    again = claim_slots(audit.sample, person)
    assert [slot.pk for slot in again] == [slot.pk for slot in slots[1:]]
    other = make_member(audit.dataset.project)
    assert not {slot.pk for slot in claim_slots(audit.sample, other)} & {slot.pk for slot in slots}


def test_without_a_training_set_the_first_items_count():
    audit = make_audit(n_drawn=6)
    train(audit, n_training=0)
    person = make_member(audit.dataset.project)
    assert {slot.purpose for slot in claim_slots(audit.sample, person)} == {"estimate"}


@pytest.mark.django_db(transaction=True)
def test_many_people_given_gold_at_one_moment_get_a_row_each():
    audit = make_audit(n_items=140, n_drawn=120)
    mark(audit, n_items=6, share=0.5)
    people = [make_member(audit.dataset.project) for _ in range(8)]
    in_threads(lambda person: claim_slots(audit.sample, person), people, 8)
    slots = audit.sample.slots
    assert slots.filter(purpose="gold").exists()
    assert slots.for_estimates().count() == 120
    held = slots.filter(state="leased", purpose="estimate")
    assert held.values("sampled_item").distinct().count() == held.count() == 80


# ----- the page


def page_of(audit: Audit) -> str:
    return reverse("reviews:gold", args=[audit.pk])


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.MAINTAINER])
def test_only_an_admin_sees_or_marks_gold(role):
    audit = make_audit()
    known = mark(audit, n_items=1)[0]
    client = log_in(make_member(audit.dataset.project, role))
    assert client.get(page_of(audit)).status_code == 404
    assert client.post(page_of(audit), {"act": "plan"}).status_code == 404
    assert client.post(reverse("reviews:retire_gold", args=[known.pk])).status_code == 404
    assert KnownItem.objects.get().is_active


def test_an_admin_plans_marks_and_retires():
    audit = make_audit()
    client = log_in(make_member(audit.dataset.project, Role.ADMIN))
    assert "Nothing is marked yet" in client.get(page_of(audit)).content.decode()
    plan = {"act": "plan", "gold_share": "0.1", "n_training": "4"}
    assert client.post(page_of(audit), plan).status_code == 302
    assert QualityPlan.objects.get().gold_share == 0.1
    item = audit.dataset.items.last()
    by_hand = {"act": "hand", "key": item.key, "use": "gold", "verdict": "wrong_label",
               "corrected_label": (item.given_label + 1) % 3, "why": "<i>because</i>"}  # fmt: skip
    assert client.post(page_of(audit), by_hand).status_code == 302
    page = client.get(page_of(audit)).content.decode()
    assert "&lt;i&gt;because" in page
    assert "1 gold, 0 for training" in page
    known = KnownItem.objects.get()
    assert client.post(reverse("reviews:retire_gold", args=[known.pk])).status_code == 302
    assert not KnownItem.objects.get().is_active


@pytest.mark.parametrize(
    "changes",
    [
        {"act": "plan", "gold_share": "0.6", "n_training": "0"},
        {"act": "plan", "gold_share": "0.1", "n_training": "51"},
        {"act": "hand", "key": "no-such.png", "use": "gold", "verdict": "label_correct"},
        {"act": "hand", "key": "00039.png", "use": "gold", "verdict": "unsure"},
        {"act": "hand", "key": "00039.png", "use": "gold", "verdict": "wrong_label",
         "corrected_label": "99"},
        {"act": "hand", "key": "00003.png", "use": "gold", "verdict": "label_correct"},
        {"act": "take", "take_from": "nobody", "use": "gold", "n_items": "5"},
        {"act": "take", "take_from": "", "use": "gold", "n_items": "5"},
        {"act": "renamed"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_leaves_nothing(changes):
    audit = make_audit()
    client = log_in(make_member(audit.dataset.project, Role.ADMIN))
    assert client.post(page_of(audit), changes).status_code == 422
    assert not KnownItem.objects.exists()
    assert not QualityPlan.objects.exists()
