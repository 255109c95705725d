"""The agreement page: every figure with n and interval; a correction only if asked for."""

from __future__ import annotations

import csv
from itertools import count
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import Audit, Role
from reviews.agreement_page import describe_audit_agreement
from reviews.models import KnownItem, ReviewSlot, SampledItem, Verdict
from reviews.services.judgments import Answer, record_judgment
from scoring.agreement import gwet_ac1, krippendorff_alpha, raw_agreement, rogan_gladen
from tests.factories import make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge, make_mixed_audit

pytestmark = pytest.mark.django_db
C, W, S, U = "label_correct", "wrong_label", "similar_class", "unsure"


def make_voted(*people: str, n_items: int = 8) -> Audit:
    """A mixed audit whose first items got one vote per person; a letter per item, "-" for none."""
    audit = make_mixed_audit(n_items=60)
    sample = make_sample(audit, n_items, votes_per_item=max(len(people), 1))
    said = {"C": C, "W": W, "S": S, "U": U}
    for number, letters in enumerate(people):
        person = make_member(audit.dataset.project, name=f"person-{number}")
        verdicts = {place: said[one] for place, one in enumerate(letters) if one != "-"}
        judge(sample, verdicts, person)
    return audit


def log_in(audit: Audit, role: Role = Role.MAINTAINER) -> Client:
    client = Client()
    client.force_login(make_member(audit.dataset.project, role))
    return client


def page(audit: Audit, **query: object) -> str:
    address = reverse("reviews:agreement", args=[audit.pk])
    return log_in(audit).get(address, query).content.decode()


def judge_gold(audit: Audit, person: User, *, n_found: int, n_cleared: int, n_each: int) -> None:
    """So many label errors found and correct labels cleared, of `n_each` of both."""
    items = list(audit.dataset.items.order_by("-position")[: 2 * n_each])
    orders = count(1000)
    for place, item in enumerate(items):
        is_error = place < n_each
        KnownItem.objects.get_or_create(
            audit=audit, item=item,
            defaults={"use": "gold", "verdict": W if is_error else C, "origin": "by_hand"},
        )  # fmt: skip
        row, _ = SampledItem.objects.get_or_create(
            sample=audit.sample, item=item, defaults={"order": next(orders)}
        )
        slot = ReviewSlot.objects.create(
            sample=audit.sample, sampled_item=row, order=row.order, purpose="gold", epoch=1,
            number=row.slots.count() + 1, state="leased", annotator=person,
            leased_until="2030-01-01T00:00Z",
        )  # fmt: skip
        is_right = place < n_found if is_error else place - n_each < n_cleared
        says = (W if is_error else C) if is_right else (C if is_error else W)
        record_judgment(person, slot.pk, 1, uuid4(), Answer(Verdict(says)))


def test_every_coefficient_comes_with_its_items_and_interval():
    audit = make_voted("CCWWCCWC", "CCWCCCWW", "CCWW----")
    found = describe_audit_agreement(audit, "lenient", corrected=False)
    matrix = [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 0, 1], [0, 0, -1], [0, 0, -1], [1, 1, -1],
              [0, 1, -1]]  # fmt: skip
    expected = (raw_agreement(matrix), krippendorff_alpha(matrix), gwet_ac1(matrix, 2))
    assert [each["estimate"] for each in found["coefficients"]] == pytest.approx(expected)
    assert [each["n"] for each in found["coefficients"]] == [8, 8, 8]
    assert all(each["low"] < each["estimate"] < each["high"] for each in found["coefficients"])
    pairs = {(each["a"], each["b"]): each["n"] for each in found["pairs"]}
    assert pairs == {("person-0", "person-1"): 8, ("person-0", "person-2"): 4,
                     ("person-1", "person-2"): 4}  # fmt: skip
    assert found == describe_audit_agreement(audit, "lenient", corrected=False)


def test_the_policy_decides_what_counts_as_agreement_and_categories_stay_apart():
    audit = make_voted("SSCC", "WWCU")
    lenient = describe_audit_agreement(audit, "lenient", corrected=False)
    strict = describe_audit_agreement(audit, "strict", corrected=False)
    assert lenient["coefficients"][0]["estimate"] == 1.0
    assert strict["coefficients"][0]["estimate"] == pytest.approx(1 / 3)
    table = lenient["categories"]
    cells = {
        (row["name"], name): cell["weight"]
        for row in table["rows"]
        for name, cell in zip(table["names"], row["cells"], strict=True)
    }
    assert cells["Wrong label", "Similar class"] == cells["Similar class", "Wrong label"] == 2
    assert cells["Label correct", "Label correct"] == 2
    assert cells["Unsure", "Label correct"] == 1


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ((), "How far people agree shows here"),
        (("CCW",), "no item has more than one yet"),
        (("CC-", "--C"), "no item has more than one yet"),
        (("CCC", "CCC"), "undefined: all votes are for one answer"),
        (("CWC", "CWW"), "kappa of"),
    ],
)
def test_with_none_one_or_two_people_the_page_says_in_words_what_it_can(people, words):
    text = page(make_voted(*people))
    assert words in text
    assert "nan" not in text.lower().replace("unanim", "")


def test_without_a_sample_it_says_what_to_do():
    assert "draw one with two votes per item" in page(make_ready_audit())


def test_gold_is_shown_per_person_and_overall_and_in_the_table():
    audit = make_voted("CCWW", "CCWC")
    person = User.objects.get(username="person-0")
    judge_gold(audit, person, n_found=3, n_cleared=4, n_each=4)
    found = describe_audit_agreement(audit, "lenient", corrected=False)
    assert [row["name"] for row in found["gold"]] == ["person-0", "all"]
    assert found["gold"][0]["sensitivity"]["estimate"] == 0.75
    assert found["gold"][0]["specificity"]["n"] == 4
    assert found["votes"] == 8  # none of them on gold
    client = log_in(audit)
    text = client.get(reverse("reviews:agreement_csv", args=[audit.pk])).content.decode()
    rows = list(csv.reader(text.splitlines()))
    assert ["sensitivity", "person-0", "", "4", "0.75"] in [row[:5] for row in rows]
    kinds = {row[0] for row in rows[1:]}
    assert kinds >= {"raw agreement", "Gwet's AC1", "Cohen's kappa", "confusion", "specificity"}
    assert not any(kind.startswith("precision") for kind in kinds)


def test_precision_is_corrected_only_where_it_is_asked_for_and_beside_the_uncorrected():
    audit = make_voted("WWWWCCWCWC", n_items=10)
    person = User.objects.get(username="person-0")
    judge_gold(audit, person, n_found=9, n_cleared=8, n_each=10)
    plain = describe_audit_agreement(audit, "lenient", corrected=False)
    assert plain["corrected"] is None
    assert "Rogan and Gladen" not in page(audit)
    found = describe_audit_agreement(audit, "lenient", corrected=True)["corrected"]
    first = found[0]
    assert first["seen"]["estimate"] == pytest.approx(0.6)
    expected = rogan_gladen(0.6, 10, 0.9, 10, 0.8, 10)
    assert first["corrected"]["estimate"] == pytest.approx(expected.estimate)
    assert (first["corrected"]["low"], first["corrected"]["high"]) == (expected.low, expected.high)
    assert "Rogan and Gladen" in page(audit, corrected=1)


def test_annotators_who_tell_nothing_correct_nothing():
    audit = make_voted("WWCC")
    judge_gold(audit, User.objects.get(username="person-0"), n_found=1, n_cleared=2, n_each=4)
    assert "It can't be corrected: annotators of sensitivity 0.25" in page(audit, corrected=1)


def test_a_name_that_looks_like_a_formula_is_text_in_the_table():
    audit = make_voted("CC", "CW")
    User.objects.filter(username="person-0").update(username="=1+1")
    address = reverse("reviews:agreement_csv", args=[audit.pk])
    assert "'=1+1" in log_in(audit).get(address).content.decode()


def test_annotators_see_neither_page_nor_table():
    audit = make_voted("CC", "CW")
    client = log_in(audit, Role.ANNOTATOR)
    for name in ("agreement", "agreement_csv"):
        assert client.get(reverse(f"reviews:{name}", args=[audit.pk])).status_code == 404
