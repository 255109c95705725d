"""Starting an audit from the browser: the form, its refusals and its estimate."""

from __future__ import annotations

import pytest
from django.urls import reverse

from audit.forms import split_names
from audit.models import Audit, Chunk, Role, ScoreSet
from tests.factories import make_dataset, make_member, make_project, make_questions

pytestmark = pytest.mark.django_db
NEW = "/audits/new/"
DEFAULTS = {
    "n_bins": 15,
    "bins_over": "disputed",
    "calibrator": "temperature",
    "seed": 0,
    "other_experts": "",
}


@pytest.fixture
def dataset():
    return make_dataset(make_project(), n_items=12, n_classes=3)


@pytest.fixture
def maintainer(dataset, client):
    user = make_member(dataset.project, Role.MAINTAINER)
    client.force_login(user)
    return user


def make_scores(dataset, expert):
    return ScoreSet.objects.create(
        dataset=dataset,
        expert=expert,
        source=ScoreSet.Source.IMPORTED,
        state=ScoreSet.State.READY,
    )


def test_the_form_starts_with_the_papers_defaults(client, dataset, maintainer):
    form = client.get(NEW).context["form"]
    values = {name: form[name].value() for name in ("n_bins", "bins_over", "calibrator", "seed")}
    assert values == {
        "n_bins": 15,
        "bins_over": "disputed",
        "calibrator": "temperature",
        "seed": 0,
    }
    assert form["require_agreement"].value() in (None, False)


def test_the_form_names_the_experts_that_the_data_set_can_have(
    client, maintainer, dataset, settings
):
    pictures = client.get(NEW, {"dataset": dataset.pk}).content.decode()
    assert "timm:NAME" in pictures
    assert "transformers:OWNER/MODEL" in pictures
    assert "endpoint:" not in pictures
    questions = make_questions(dataset.project)
    page = client.get(NEW, {"dataset": questions.pk}).content.decode()
    assert "timm:" not in page
    assert "transformers:OWNER/MODEL" in page
    assert "endpoint:NAME" in page
    assert "import_scores" in page
    settings.ENDPOINTS = {"llama": None, "gpt": None}
    page = client.get(NEW, {"dataset": questions.pk}).content.decode()
    assert "<code>endpoint:gpt</code>, <code>endpoint:llama</code>" in page


def test_two_named_experts_start_an_audit_and_leave_pending_work(client, dataset, maintainer):
    answer = client.post(
        NEW, DEFAULTS | {"dataset": dataset.pk, "other_experts": "stub:3-1\nstub:3-2", "seed": 7}
    )
    audit = Audit.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("audit:audit_detail", args=[audit.pk])
    assert [expert.name for expert in audit.experts.all()] == ["stub:3-1", "stub:3-2"]
    assert (audit.seed, audit.n_bins, audit.created_by) == (7, 15, maintainer)
    assert Chunk.objects.pending().count() == 2


def test_ready_scores_come_first_and_a_name_given_twice_counts_once(client, dataset, maintainer):
    ready = make_scores(dataset, "stub:3-9")
    fields = {"dataset": dataset.pk, "score_sets": [ready.pk]}
    client.post(NEW, DEFAULTS | fields | {"other_experts": "stub:3-9, stub:3-1"})
    names = [expert.name for expert in Audit.objects.get().experts.all()]
    assert names == ["stub:3-9", "stub:3-1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"other_experts": "stub:3-1"}, "two or more experts; 1 chosen"),
        ({"other_experts": ""}, "two or more experts; 0 chosen"),
        ({"other_experts": "stub:3-1 nonsense:x"}, "backend:model"),
        ({"other_experts": "stub:3-1 stub:3-2", "n_bins": 0}, "greater than or equal to 1"),
        ({"other_experts": "stub:3-1 stub:3-2", "seed": -1}, "greater than or equal to 0"),
        ({"other_experts": "stub:3-1 stub:3-2", "calibrator": "magic"}, "not one of the available"),
        ({"other_experts": "stub:3-1 stub:3-2", "dataset": 987654}, "not one of the available"),
        ({"other_experts": "stub:3-1 stub:3-2", "dataset": "x"}, "not one of the available"),
    ],
)
def test_what_cannot_be_audited_is_refused_beside_its_field(
    client, dataset, maintainer, changes, message
):
    answer = client.post(NEW, DEFAULTS | {"dataset": dataset.pk} | changes)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert not Audit.objects.exists()


def test_what_was_filled_in_stands_after_a_refusal(client, dataset, maintainer):
    ready = make_scores(dataset, "stub:3-9")
    fields = {"dataset": dataset.pk, "score_sets": [ready.pk], "n_bins": 9}
    page = " ".join(client.post(NEW, DEFAULTS | fields).content.decode().split())
    assert 'value="9"' in page
    assert "checked" in page
    assert f'<option value="{dataset.pk}" selected' in page


def test_the_estimate_counts_only_experts_that_have_no_scores(
    client, dataset, maintainer, settings
):
    settings.CHUNK_ITEMS = 5
    ready = make_scores(dataset, "stub:3-9")
    fields = {"dataset": dataset.pk, "score_sets": [ready.pk], "other_experts": "stub:3-1 stub:3-9"}
    estimate = client.get("/audits/new/estimate/", fields).context["estimate"]
    assert (estimate.n_items, estimate.n_experts, estimate.n_new_experts) == (12, 2, 1)
    assert estimate.n_chunks == 3  # 5 + 5 + 2 items
    assert estimate.n_bytes == 12 * 3 * 4


def test_without_a_data_set_the_page_says_how_to_bring_one_in(client):
    client.force_login(make_member(make_project(), Role.MAINTAINER))
    page = client.get(NEW).content.decode()
    assert "import_dataset" in page
    assert "Start the audit" not in page


def test_only_a_members_own_data_sets_are_offered(client, dataset, maintainer):
    foreign = make_dataset(make_project("Elsewhere"))
    page = client.get(NEW).content.decode()
    assert dataset.slug in page
    assert foreign.slug not in page
    answer = client.post(
        NEW, DEFAULTS | {"dataset": foreign.pk, "other_experts": "stub:3-1 stub:3-2"}
    )
    assert answer.status_code == 422
    assert foreign.slug not in client.get(f"{NEW}?dataset={foreign.pk}").content.decode()
    estimate = client.get("/audits/new/estimate/", {"dataset": foreign.pk})
    assert estimate.context["estimate"] is None


def test_a_maintainer_elsewhere_who_annotates_here_is_offered_nothing_from_here(client, dataset):
    user = make_member(dataset.project, Role.ANNOTATOR)
    client.force_login(user)
    assert client.get(NEW).status_code == 404
    from audit.models import Membership

    Membership.objects.create(project=make_project("Own"), user=user, role=Role.MAINTAINER)
    assert dataset.slug not in client.get(NEW).content.decode()


def test_annotators_and_strangers_do_not_see_the_page(client, dataset):
    client.force_login(make_member(dataset.project, Role.ANNOTATOR))
    assert client.get(NEW).status_code == 404
    assert client.post(NEW, DEFAULTS).status_code == 404
    client.logout()
    assert client.get(NEW)["Location"].startswith(reverse("login"))


def test_a_comma_between_names_separates_and_a_comma_before_an_option_does_not():
    typed = "stub:3-1, stub:3-2,stub:3-4\ntransformers:m,scoring=text,shots=5,stub:3-5"
    assert split_names(typed) == [
        "stub:3-1",
        "stub:3-2",
        "stub:3-4",
        "transformers:m,scoring=text,shots=5",
        "stub:3-5",
    ]


@pytest.mark.django_db(transaction=True)
def test_f37_what_breaks_after_the_planning_leaves_neither_audit_nor_work(
    client, dataset, maintainer, monkeypatch
):
    def break_down():
        assert Chunk.objects.exists(), "planned first, or there is nothing to roll back"
        raise RuntimeError("broken after planning")

    monkeypatch.setattr("audit.services.audits.advance_audits", break_down)
    client.raise_request_exception = False
    asked = DEFAULTS | {"dataset": dataset.pk, "other_experts": "stub:3-1\nstub:3-2"}
    assert client.post(NEW, asked).status_code == 500
    assert not Audit.objects.exists()
    assert not ScoreSet.objects.exists()
    assert not Chunk.objects.exists()
    monkeypatch.undo()
    assert client.post(NEW, asked).status_code == 302
    assert Chunk.objects.exists()
