"""The sampling page: planned, drawn, drawn anew, frozen by the first verdict, exported."""

from __future__ import annotations

import csv
import io

import pytest
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import Client

from audit.models import Audit, Item, Role
from reviews.models import ReviewSlot, Sample
from reviews.services.leases import claim_slots
from reviews.services.sampling import freeze_sample
from tests.factories import make_member, make_project, make_ready_audit
from tests.reviews.situations import judge, make_mixed_audit

pytestmark = pytest.mark.django_db
NUMBERS = {"size": 6, "unflagged": 3, "votes_per_item": 1, "revealed_share": 0, "seed": 0}


@pytest.fixture
def audit() -> Audit:
    return make_mixed_audit()


@pytest.fixture
def maintainer(audit, client) -> Client:
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


def address(audit: Audit, end: str = "sample/") -> str:
    return f"/audits/{audit.pk}/{end}"


def draw(client: Client, audit: Audit, **numbers):
    return client.post(address(audit, "sample/draw/"), NUMBERS | numbers)


@pytest.mark.parametrize("end", ["sample/", "sample/draw/", "sample.csv"])
def test_only_maintainers_of_the_project_reach_the_ledger(audit, client, end):
    freeze_sample(audit, size=6, unflagged=0)
    method = client.post if end.endswith("draw/") else client.get
    for user in (
        make_member(audit.dataset.project, Role.ANNOTATOR),
        make_member(make_project(), Role.ADMIN),
    ):
        client.force_login(user)
        assert method(address(audit, end), NUMBERS).status_code == 404
    assert Sample.objects.get().n_items == 6


def test_the_strata_show_before_anything_is_drawn(audit, maintainer):
    page = maintainer.get(address(audit), {**NUMBERS, "size": 20})
    assert [row.n_drawn for row in page.context["strata"]][:2] == [4, 4]
    assert (page.context["totals"]["drawn"], page.context["totals"]["population"]) == (23, 120)
    assert b"both methods, bin 1" in page.content
    assert not Sample.objects.exists()


def test_a_change_of_the_numbers_fetches_the_strata_alone(audit, maintainer):
    part = maintainer.get(address(audit), NUMBERS | {"size": 12}, headers={"HX-Request": "true"})
    text = part.content.decode()
    assert "<html" not in text
    assert "<strong>15</strong> of 120 items" in text
    refused = maintainer.get(address(audit), NUMBERS | {"size": -1}, headers={"HX-Request": "true"})
    assert b"greater than or equal to 0" in refused.content


def test_what_was_planned_is_drawn_with_the_votes_of_each_stratum(audit, maintainer):
    votes = {"votes:unflagged: an expert disputes": "3", "votes:both methods, bin 1": ""}
    answer = draw(maintainer, audit, seed=9, votes_per_item=2, revealed_share=0.25, **votes)
    assert answer["Location"] == address(audit)
    sample = Sample.objects.get()
    assert (sample.n_items, sample.seed, sample.revealed_share) == (9, 9, 0.25)
    assert sample.drawn_by == answer.wsgi_request.user
    per_stratum = {row.name: row.votes_per_item for row in sample.strata.all()}
    assert per_stratum["unflagged: an expert disputes"] == sample.votes_per_item == 3
    assert per_stratum["both methods, bin 1"] == 2
    n_slots = ReviewSlot.objects.filter(sample=sample).count()
    assert n_slots == sample.n_votes == 2 * 9 + 1  # one of them in the stratum of three votes
    page = maintainer.get(address(audit)).content.decode()
    assert "Drawn, not yet frozen" in page
    assert ".25 of the items of each annotator" in page


def test_until_the_first_verdict_it_can_be_drawn_anew_and_then_it_is_frozen(audit, maintainer):
    draw(maintainer, audit, seed=1)
    first = Sample.objects.get()
    assert b"Discard the sample" in maintainer.get(address(audit) + "?again").content
    annotator = make_member(audit.dataset.project)
    claim_slots(first, annotator)
    draw(maintainer, audit, seed=2, size=10)
    second = Sample.objects.get()
    assert (second.seed, second.n_items) == (2, 13)
    judge(second, {second.items.first().item.position: "label_correct"})
    page = maintainer.get(address(audit) + "?again").content.decode()
    assert "Frozen" in page
    assert "Discard the sample" not in page
    answer = draw(maintainer, audit, seed=3)
    assert answer.status_code == 422
    assert b"people have begun to judge" in answer.content
    assert Sample.objects.get() == second


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"size": 0, "unflagged": 0}, "at least one item"),
        ({"revealed_share": 1.5}, "less than or equal to 1"),
        ({"votes:both methods, bin 1": "0"}, "a whole number from 1 to 9"),
        ({"votes:both methods, bin 1": "many"}, "a whole number from 1 to 9"),
        ({"votes:both methods, bin 1": "\u00b2"}, "a whole number from 1 to 9"),
        ({"votes:no such stratum": "2"}, "is not one of"),
        ({"seed": "x"}, "whole number"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(audit, maintainer, numbers, reason):
    answer = draw(maintainer, audit, **numbers)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert not Sample.objects.exists()


def test_an_audit_under_way_has_nothing_to_draw_from(client):
    audit = make_ready_audit()
    Audit.objects.update(state="scoring")
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    assert b"Nothing to draw from yet" in client.get(address(audit)).content
    assert draw(client, audit).status_code == 422


def test_the_ledger_as_csv_lists_every_item_with_its_probability(audit, maintainer):
    draw(maintainer, audit, size=20)
    Item.objects.filter(dataset=audit.dataset).update(key=Concat(Value("="), "key"))
    answer = maintainer.get(address(audit, "sample.csv"))
    assert answer["Content-Disposition"] == f'attachment; filename="ledger-{audit.pk}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert all(row["key"].startswith("'=") for row in rows)
    assert [int(row["order"]) for row in rows] == list(range(23))
    for row in rows:
        probability = int(row["stratum_drawn"]) / int(row["stratum_items"])
        assert float(row["inclusion_probability"]) == probability
    weights = sum(1 / float(row["inclusion_probability"]) for row in rows)
    assert weights == pytest.approx(120)  # Horvitz-Thompson: the sample stands for every item
