"""Pairs of classes in both directions, the list as CSV, questions by subject."""

import csv
import io

import pytest
from django.urls import reverse

from audit.models import DatasetClass, Flag, Item, Role
from tests.factories import make_dataset, make_member, make_questions, make_ready_audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit(client):
    """Six flags in three bins of two, given labels 0 1 2 0 1 2, proposed one class up."""
    audit = make_ready_audit(make_dataset(n_items=12, n_classes=3), n_flags=6, n_bins=3)
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return audit


def show(client, audit, name="audit:queue_pairs", **query):
    return client.get(reverse(name, args=[audit.pk]), query)


def counts(answer):
    return [(pair.one, pair.other, pair.n_forth, pair.n_back) for pair in answer.context["pairs"]]


def test_both_directions_of_a_pair_stand_beside_each_other(client, audit):
    # 0 -> 1 twice, 1 -> 2 twice, 2 -> 0 twice; one flag turned round.
    Flag.objects.filter(audit=audit, rank=2).update(proposed_label=0)
    assert counts(show(client, audit)) == [(0, 1, 2, 1), (0, 2, 0, 2), (1, 2, 1, 0)]
    assert counts(show(client, audit, k=1)) == [(0, 1, 1, 1)]


def test_a_count_leads_to_its_items(client, audit):
    page = show(client, audit).content.decode()
    assert "label=0&amp;proposed=1&amp;k=3" in page
    shown = show(client, audit, "audit:queue", label=0, proposed=1).context["shown"]
    assert [entry.flag.rank for entry in shown] == [1, 4]


def test_hostile_class_names_are_text(client, audit):
    DatasetClass.objects.filter(dataset=audit.dataset).update(name="<b onclick=x>")
    assert "<b onclick" not in show(client, audit).content.decode()


def test_classes_that_share_a_name_are_told_apart_in_pairs_and_filters(client, audit):
    twins = DatasetClass.objects.filter(dataset=audit.dataset, index__lt=2)
    twins.update(name="maillot")
    twins.filter(index=0).update(wordnet_id="n03710637")
    pairs = show(client, audit).context["pairs"]
    assert {pair.one_name for pair in pairs} == {"maillot (n03710637)", "maillot (1)"}
    labels = show(client, audit, "audit:queue").context["labels"]
    assert [each.name for each in labels] == ["maillot (n03710637)", "maillot (1)", "class 2"]


def test_the_pairs_as_csv_are_those_of_the_page(client, audit):
    DatasetClass.objects.filter(dataset=audit.dataset, index=0).update(name="＝1+1")  # noqa: RUF001
    shown = show(client, audit, k=2).context["pairs"]
    text = show(client, audit, "audit:queue_pairs_csv", k=2).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(int(row["one"]), int(row["other"])) for row in rows] == [
        (pair.one, pair.other) for pair in shown
    ]
    assert [int(row["flags"]) for row in rows] == [pair.n_flags for pair in shown]
    assert rows[0]["one_name"] == "'＝1+1"  # noqa: RUF001


def test_no_flags_no_pairs(client, audit):
    Flag.objects.all().delete()
    assert "flags nothing" in show(client, audit).content.decode()


def test_the_list_as_csv_is_what_the_filters_leave(client, audit):
    Item.objects.filter(dataset=audit.dataset, position=0).update(key="=1+1")
    answer = show(client, audit, "audit:queue_csv", label=0)
    text = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["rank"], row["key"], row["bin"]) for row in rows] == [
        ("1", "'=1+1", "1"),
        ("4", "00003.png", "2"),
    ]


def test_questions_are_filtered_by_subject(client):
    dataset = make_questions(n_items=6)
    dataset.items.filter(position=1).update(subject="history")
    audit = make_ready_audit(dataset, n_flags=3)
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    answer = show(client, audit, "audit:queue")
    assert answer.context["subjects"] == [("history", 1), ("sums", 2)]
    shown = show(client, audit, "audit:queue", subject="history").context["shown"]
    assert [entry.flag.item.position for entry in shown] == [1]
