"""The queue explorer: methods, depth, filters, pages, one item large, bounded queries."""

from __future__ import annotations

import shutil

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.evidence import evidence_folder
from audit.models import Audit, Dataset, DatasetClass, Flag, Role
from audit.views import queue
from tests.factories import (
    make_dataset,
    make_member,
    make_project,
    make_questions,
    make_ready_audit,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def audit(client):
    """Six flags in three bins of two, given labels 0 1 2 0 1 2, proposed one class up."""
    audit = make_ready_audit(make_dataset(n_items=12, n_classes=3), n_flags=6, n_bins=3)
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return audit


def open_queue(client, audit, headers=None, **query):
    return client.get(reverse("audit:queue", args=[audit.pk]), query, headers=headers or {})


def shown_ranks(answer):
    return [entry.flag.rank for entry in answer.context["shown"]]


def test_the_papers_method_opens_with_all_its_bins(client, audit):
    answer = open_queue(client, audit)
    assert answer.context["wanted"].method == "calibrated_ensemble"
    assert answer.context["wanted"].k == 3
    assert shown_ranks(answer) == [1, 2, 3, 4, 5, 6]


def test_k_keeps_the_most_confident_bins(client, audit):
    assert shown_ranks(open_queue(client, audit, k=1)) == [1, 2]
    assert shown_ranks(open_queue(client, audit, k=2)) == [1, 2, 3, 4]
    assert shown_ranks(open_queue(client, audit, k=99)) == [1, 2, 3, 4, 5, 6]


def test_the_first_places_of_a_ranking_are_a_set_of_its_own(client, audit):
    assert shown_ranks(open_queue(client, audit, method="ensemble", n=4)) == [1, 2, 3, 4]
    assert shown_ranks(open_queue(client, audit, method="ensemble", n=0)) == [1, 2, 3, 4, 5, 6]
    assert shown_ranks(open_queue(client, audit, n=2)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("query", [{}, {"k": 2}, {"bin": 2}, {"method": "ensemble", "n": 5}])
def test_pages_without_filters_are_found_by_rank_and_hold_what_offsets_would(
    client, audit, monkeypatch, query
):
    whole = shown_ranks(open_queue(client, audit, **query))
    monkeypatch.setattr(queue, "PER_PAGE", 2)
    pages = [shown_ranks(open_queue(client, audit, **query, page=n + 1)) for n in range(3)]
    last = -(-len(whole) // 2)
    expected = [whole[2 * n : 2 * n + 2] for n in range(last)]
    assert pages == expected + [expected[-1]] * (3 - last)  # beyond the last page is the last
    with CaptureQueriesContext(connection) as captured:
        open_queue(client, audit, **query, page=last)
    assert not any("OFFSET" in each["sql"] for each in captured)


def test_the_slider_gets_its_counts_under_the_other_filters(client, audit):
    assert open_queue(client, audit, k=1).context["counts_by_k"] == [2, 4, 6]
    assert open_queue(client, audit, label=0).context["counts_by_k"] == [1, 2, 2]
    assert open_queue(client, audit, method="ensemble").context["counts_by_k"] == []


def test_filters_narrow_and_combine(client, audit):
    Flag.objects.filter(audit=audit, rank=4).update(experts_agree=False)
    assert shown_ranks(open_queue(client, audit, label=0)) == [1, 4]
    assert shown_ranks(open_queue(client, audit, proposed=2)) == [2, 5]
    assert shown_ranks(open_queue(client, audit, bin=2)) == [3, 4]
    assert shown_ranks(open_queue(client, audit, agree="no")) == [4]
    assert shown_ranks(open_queue(client, audit, agree="yes", label=0)) == [1]
    assert shown_ranks(open_queue(client, audit, label=0, k=1)) == [1]


def test_the_filters_name_the_classes_with_their_counts(client, audit):
    choices = open_queue(client, audit).context["labels"]
    assert [(choice.name, choice.n_flags) for choice in choices] == [
        ("class 0", 2),
        ("class 1", 2),
        ("class 2", 2),
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"k": "x"},
        {"k": -3},
        {"k": 10**30},
        {"bin": "🦉"},
        {"label": "1' OR 1=1"},
        {"method": "nonsense"},
        {"page": 99},
        {"page": "x"},
        {"agree": "perhaps"},
    ],
)
def test_an_address_that_makes_no_sense_still_opens_the_queue(client, audit, query):
    answer = open_queue(client, audit, **query)
    assert answer.status_code == 200
    assert shown_ranks(answer) == [1, 2, 3, 4, 5, 6]


def test_a_filter_that_matches_nothing_says_so_and_offers_the_way_back(client, audit):
    page = open_queue(client, audit, label=2, bin=1).content.decode()
    assert "No flagged item matches" in page
    assert "Clear the filters" in page


def test_an_htmx_request_gets_the_results_alone_and_caches_keep_the_two_apart(client, audit):
    answer = open_queue(client, audit, headers=HTMX, k=1)
    assert "<html" not in answer.content.decode()
    assert 'id="queue-results"' in answer.content.decode()
    assert "HX-Request" in answer["Vary"]
    assert "<html" in open_queue(client, audit, k=1).content.decode()


def test_pages_keep_the_filters(client, audit, monkeypatch):
    monkeypatch.setattr("audit.views.queue.PER_PAGE", 2)
    answer = open_queue(client, audit, method="ensemble", agree="yes", page=2)
    assert shown_ranks(answer) == [3, 4]
    page = answer.content.decode()
    assert "?method=ensemble&amp;agree=yes&amp;page=3" in page
    assert "?method=ensemble&amp;agree=yes&amp;page=1" in page


def test_scores_without_pictures_are_a_list_of_keys(client, audit):
    Dataset.objects.filter(pk=audit.dataset_id).update(root="")
    page = open_queue(client, audit).content.decode()
    assert "<img" not in page
    assert "00000.png" in page
    assert "joint confidence" in page


def test_an_audit_without_calibrated_queue_says_why(client, audit):
    counts = {"ensemble": 6}
    Audit.objects.filter(pk=audit.pk).update(queue_counts=counts)
    page = open_queue(client, audit).content.decode()
    assert "could not be calibrated" in page
    assert reverse("audit:calibration", args=[audit.pk]) in page


def test_before_anything_is_flagged_the_page_says_what_it_waits_for(client, audit):
    Audit.objects.filter(pk=audit.pk).update(queue_counts={}, state="scoring")
    Flag.objects.all().delete()
    assert "still at work" in open_queue(client, audit).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_page(client, django_assert_num_queries):
    for n_flags in (3, 40):
        audit = make_ready_audit(make_dataset(n_items=60, n_classes=5), n_flags=n_flags)
        client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
        # session, user, audit | counts, once | page, items, classes | classes | role
        with django_assert_num_queries(9):
            open_queue(client, audit)
        with django_assert_num_queries(8):
            open_queue(client, audit)
        with django_assert_num_queries(6):
            open_queue(client, audit, headers=HTMX, k=2)


def test_flags_are_counted_once_and_kept_and_a_broken_file_is_made_anew(client, audit):
    Flag.objects.filter(audit=audit, rank__in=[2, 5]).update(experts_agree=False)
    narrowings = [{}, {"k": 2}, {"bin": 2}, {"agree": "no"}, {"proposed": 1, "k": 1}, {"label": 2}]
    narrowings += [{"method": "ensemble"}, {"method": "ensemble", "n": 2}]

    def open_all():
        answers = [open_queue(client, audit, **each) for each in narrowings]
        contexts = [answer.context for answer in answers]
        for context in contexts:
            assert context["page"].paginator.count == len(context["shown"])
        return [(len(context["shown"]), context["counts_by_k"]) for context in contexts]

    first = open_all()
    assert [n_shown for n_shown, _ in first] == [6, 4, 2, 2, 1, 2, 6, 2]
    kept = sorted((evidence_folder(audit.pk) / "reports").glob("*.npy"))
    assert len(kept) == 2
    kept[0].write_bytes(b"cut off")
    assert open_all() == first
    assert kept[0].stat().st_size > 100


def open_item(client, audit, item, headers=None):
    address = reverse("audit:queue_item", args=[audit.pk, item.pk])
    return client.get(address, headers=headers or {})


def test_one_item_shows_what_every_expert_and_method_says(client, audit):
    item = audit.dataset.items.get(position=1)
    answer = open_item(client, audit, item, HTMX)
    first = answer.context["words"][0]
    assert first.name == audit.experts.first().name
    assert (first.top1.index, first.agrees_with_label) == (2, False)
    assert first.confidence == pytest.approx(0.99 - 0.39 / 11, abs=1e-4)
    assert first.given_probability == pytest.approx(0.01)
    assert [entry.flag.method for entry in answer.context["flags"]] == [
        "calibrated_ensemble",
        "ensemble",
        "confident_learning",
    ]
    assert "<html" not in answer.content.decode()
    assert "<html" in open_item(client, audit, item).content.decode()


def test_an_item_shows_its_flags_even_without_the_evidence_files(client, audit):
    shutil.rmtree(evidence_folder(audit.pk))
    page = open_item(client, audit, audit.dataset.items.first(), HTMX).content.decode()
    assert "not on this machine" in page
    assert "rank 1" in page


def test_an_item_of_another_data_set_is_not_found(client, audit):
    foreign = make_dataset(make_project("Elsewhere")).items.first()
    assert open_item(client, audit, foreign).status_code == 404


def test_names_from_the_data_are_text(client, audit):
    DatasetClass.objects.filter(dataset=audit.dataset, index=0).update(
        name="<script>alert(1)</script>"
    )
    page = open_queue(client, audit).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_question_shows_its_subject_what_was_noted_and_who_says_which_choice(client):
    dataset = make_questions(n_items=6)
    dataset.items.filter(position=0).update(notices=["duplicate_other_label", "new_code"])
    audit = make_ready_audit(dataset, n_flags=3)
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    answer = open_item(client, audit, dataset.items.get(position=0), HTMX)
    marks = [(each.text, each.is_given, each.n_experts) for each in answer.context["choices"]]
    assert marks == [("7", True, 0), ("8", False, 2), ("9", False, 0), ("10", False, 0)]
    page = answer.content.decode()
    assert "<bdi>sums</bdi>" in page
    assert "2 of 2 experts" in page
    assert "Another item has the same content and another label." in page
    assert "new_code" in page


def test_b091_a_question_of_ten_thousand_marks_is_cut_in_the_list(client):
    dataset = make_questions(n_items=6)
    dataset.items.update(
        question="Z" + "\u0301" * 10_000
    )  # which truncating by letters counts as 1
    audit = make_ready_audit(dataset, n_flags=3)
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    page = open_queue(client, audit).content.decode()
    assert 0 < page.count("\u0301") < 3 * (300 + 2 * 120)


def test_b090_a_question_is_shown_with_its_options_as_text(client):
    dataset = make_questions(n_items=6)
    hostile = "<img src=x onerror=alert(1)> {{7*7}}"
    dataset.items.filter(position=0).update(question=hostile, choices=["None", hostile, "c", "d"])
    audit = make_ready_audit(dataset, n_flags=3)
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    page = open_item(client, audit, dataset.items.get(position=0), HTMX).content.decode()
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt; {{7*7}}") == 2
    assert ">None</bdi>" in page


def test_the_list_says_what_the_letters_of_a_question_stand_for(client):
    dataset = make_questions(n_items=6)
    dataset.items.filter(position=0).update(choices=["Rome", "<b>Oslo</b>", "Bern", "Kyiv"])
    audit = make_ready_audit(dataset, n_flags=3)
    flag = audit.flags.filter(item__position=0).first()
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    page = open_queue(client, audit).content.decode()
    assert "<bdi>Rome</bdi>" in page
    proposed = ["Rome", "&lt;b&gt;Oslo&lt;/b&gt;", "Bern", "Kyiv"][flag.proposed_label]
    assert f"<bdi>{proposed}</bdi>" in page
