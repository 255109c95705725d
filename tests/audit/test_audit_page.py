"""One audit's page: progress while it runs, reasons when it stops, figures when it is ready."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Audit, AuditExpert, Chunk, Item, Role, ScoreSet, UnscorableItem, Worker
from tests.factories import make_dataset, make_member, make_project, make_ready_audit

pytestmark = pytest.mark.django_db


def make_running_audit(dataset, n_done=1):
    """Two experts, three chunks of four items each; the first expert has n_done of them."""
    audit = Audit.objects.create(dataset=dataset)
    for order in range(2):
        score_set = ScoreSet.objects.create(
            dataset=dataset, expert=f"stub:3-{order}", source=ScoreSet.Source.RUN
        )
        AuditExpert.objects.create(audit=audit, score_set=score_set, order=order)
        for place in range(3):
            done = order == 0 and place < n_done
            Chunk.objects.create(
                score_set=score_set,
                start=4 * place,
                stop=4 * place + 4,
                work=Chunk.Work.DONE if done else Chunk.Work.PENDING,
            )
    return audit


@pytest.fixture
def dataset():
    return make_dataset(make_project(), n_items=12, n_classes=3, notice="Planted on purpose.")


@pytest.fixture
def maintainer(dataset, client):
    user = make_member(dataset.project, Role.MAINTAINER)
    client.force_login(user)
    return user


def address(audit, page="audit_detail"):
    return reverse(f"audit:{page}", args=[audit.pk])


def listen():
    now = timezone.now()
    Worker.objects.create(name="host:1", version="0.1.0", started_at=now, seen_at=now)


def test_the_page_polls_while_the_audit_is_under_way(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    page = client.get(address(audit)).content.decode()
    assert f'hx-get="{address(audit, "audit_progress")}?shown=scoring"' in page
    assert "4 of 12 items" in page
    assert "1 of 3 chunks" in page
    assert "stub:3-1" in page
    assert "Planted on purpose." in page


def test_the_poll_answers_with_the_progress_alone(client, dataset, maintainer):
    audit = make_running_audit(dataset, n_done=2)
    part = client.get(address(audit, "audit_progress")).content.decode()
    assert "8 of 12 items" in part
    assert "<html" not in part


@pytest.mark.parametrize("state", ["ready", "failed", "cancelled"])
def test_the_poll_reloads_the_page_once_nothing_moves(client, dataset, maintainer, state):
    audit = make_running_audit(dataset)
    Audit.objects.filter(pk=audit.pk).update(state=state)
    answer = client.get(address(audit, "audit_progress"), {"shown": "scoring"})
    assert answer["HX-Refresh"] == "true"
    page = client.get(address(audit)).content.decode()
    assert ("every 5s" in page) == (state != "ready")
    assert "every 1s" not in page


def test_a_stopped_page_looks_now_and_then_whether_somebody_resumed(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    poll = address(audit, "audit_progress")
    Audit.objects.filter(pk=audit.pk).update(state="cancelled")
    answer = client.get(poll, {"shown": "cancelled"})
    assert "HX-Refresh" not in answer
    assert "Cancelled." in answer.content.decode()
    Audit.objects.filter(pk=audit.pk).update(state="failed")
    assert client.get(poll, {"shown": "cancelled"})["HX-Refresh"] == "true"
    Audit.objects.filter(pk=audit.pk).update(state="scoring")
    assert client.get(poll, {"shown": "cancelled"})["HX-Refresh"] == "true"
    assert "HX-Refresh" not in client.get(poll, {"shown": "calibrating"})


def test_an_expert_whose_disk_is_full_is_said_to_rest_until_it_is_over(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    listen()
    waiting = Chunk.objects.filter(work="pending", start=4, score_set__expert="stub:3-1")
    waiting.update(error="the scores can't be written: No space left on device")
    page = " ".join(client.get(address(audit)).content.decode().split())
    assert "1 chunk to be tried again: <bdi>the scores can&#x27;t be written" in page
    waiting.update(not_before=timezone.now() + timedelta(seconds=9))
    page = " ".join(client.get(address(audit)).content.decode().split())
    assert "to be tried again by itself until it is over: <bdi>the scores" in page
    assert page.count("rests") == 1
    waiting.update(not_before=timezone.now() - timedelta(seconds=1))
    assert "until it is over" not in client.get(address(audit)).content.decode()


def test_an_item_that_one_expert_leaves_out_counts_once(client, dataset, maintainer):
    audit = make_running_audit(dataset, n_done=3)
    Audit.objects.filter(pk=audit.pk).update(state="ready")
    bad, worse, unusable = dataset.items.all()[:3]
    dataset.items.filter(pk=unusable.pk).update(quarantine_code="truncated")
    type(dataset).objects.filter(pk=dataset.pk).update(n_quarantined=1)
    for score_set in ScoreSet.objects.all():
        for item in (bad, worse, unusable):
            UnscorableItem.objects.create(score_set=score_set, item=item, code="killed_worker")
    page = " ".join(client.get(address(audit)).content.decode().split())
    assert 'left out</div> <div class="stat-value">3</div>' in page


def test_without_a_worker_nobody_is_said_to_score(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    Chunk.objects.filter(work="pending", start=4).update(work="running", owner="host:77")
    page = client.get(address(audit)).content.decode()
    assert "waits for a worker" in page
    assert "host:77" not in page
    listen()
    page = client.get(address(audit)).content.decode()
    assert "waits for a worker" not in page
    assert "host:77" in page


def test_the_page_says_when_no_worker_is_listening(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    warning = "No worker is listening"
    assert warning in client.get(address(audit)).content.decode()
    assert warning in client.get(address(audit, "audit_progress")).content.decode()
    listen()
    assert warning not in client.get(address(audit)).content.decode()
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=11))
    assert warning in client.get(address(audit, "audit_progress")).content.decode()


def test_the_page_says_why_workers_take_no_work(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    listen()
    Worker.objects.update(trouble="version_mismatch: this worker is version 0, the installation 1")
    page = client.get(address(audit)).content.decode()
    assert "host:1</bdi>" in page
    assert "version_mismatch: this worker is version 0" in page
    assert "Install the same version everywhere" in page
    assert "No worker is listening" not in page
    Worker.objects.update(trouble="Error 111 connecting to broker")
    page = client.get(address(audit, "audit_progress")).content.decode()
    assert "Error 111 connecting to broker" in page
    assert "They go on by themselves" in page


def test_a_maintainer_puts_an_audit_first_and_back_in_turn(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    assert "Score first" in client.get(address(audit)).content.decode()
    client.post(address(audit, "audit_urgent"), {"urgent": "yes"})
    assert set(audit.score_sets.values_list("is_urgent", flat=True)) == {True}
    assert "Back in turn" in client.get(address(audit)).content.decode()
    client.post(address(audit, "audit_urgent"), {"urgent": "no"})
    assert set(audit.score_sets.values_list("is_urgent", flat=True)) == {False}


def test_a_finished_audit_misses_no_worker(client, dataset, maintainer):
    assert "No worker" not in client.get(address(make_ready_audit(dataset))).content.decode()


def test_a_failed_audit_gives_its_reason_and_can_be_resumed(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    Audit.objects.filter(pk=audit.pk).update(state="failed", error="there is no weights <file>")
    ScoreSet.objects.filter(audits=audit).update(state="failed")
    page = client.get(address(audit)).content.decode()
    assert "there is no weights &lt;file&gt;" in page
    assert ">Resume<" in page.replace(" ", "").replace("\n", "")
    assert client.post(address(audit, "audit_resume")).status_code == 302
    audit.refresh_from_db()
    assert audit.state == Audit.State.SCORING


def test_a_cancelled_audit_keeps_its_scores_and_a_second_cancel_does_nothing(
    client, dataset, maintainer
):
    audit = make_running_audit(dataset)
    first = client.post(address(audit, "audit_cancel"), follow=True).content.decode()
    assert "is cancelled" in first
    audit.refresh_from_db()
    assert audit.state == Audit.State.CANCELLED
    second = client.post(address(audit, "audit_cancel"), follow=True).content.decode()
    assert "nothing to cancel" in second
    assert Chunk.objects.filter(work=Chunk.Work.DONE).count() == 1


def test_reading_changes_nothing(client, dataset, maintainer):
    audit = make_running_audit(dataset)
    assert client.get(address(audit, "audit_cancel")).status_code == 405
    assert client.get(address(audit, "audit_resume")).status_code == 405


def test_a_ready_audit_shows_what_every_method_flags(client, dataset, maintainer):
    audit = make_ready_audit(dataset, n_flags=6, n_bins=3)
    answer = client.get(address(audit))
    assert answer.context["queues"] == [
        ("calibrated_ensemble", 6),
        ("ensemble", 6),
        ("confident_learning", 6),
    ]
    page = answer.content.decode()
    assert "two experts, top-k bins" in page
    assert reverse("audit:queue", args=[audit.pk]) in page


def test_items_left_out_stand_with_their_reason(client, dataset, maintainer):
    audit = make_ready_audit(dataset)
    broken, odd = dataset.items.all()[:2]
    Item.objects.filter(pk=broken.pk).update(quarantine_code="truncated", quarantine_detail="cut")
    score_set = audit.experts.first().score_set
    UnscorableItem.objects.create(score_set=score_set, item=odd, code="nonfinite", detail="NaN")
    left_out = client.get(address(audit)).context["left_out"]
    assert [(each.key, each.expert, each.code, each.detail) for each in left_out] == [
        (broken.key, "", "truncated", "cut"),
        (odd.key, score_set.expert, "nonfinite", "NaN"),
    ]


@pytest.mark.parametrize("page", ["audit_detail", "audit_progress", "calibration", "queue"])
def test_annotators_and_foreign_maintainers_find_nothing(client, dataset, page):
    audit = make_ready_audit(dataset)
    client.force_login(make_member(dataset.project, Role.ANNOTATOR))
    assert client.get(address(audit, page)).status_code == 404
    client.force_login(make_member(make_project("Elsewhere"), Role.ADMIN))
    assert client.get(address(audit, page)).status_code == 404
    client.logout()
    assert client.get(address(audit, page))["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("page", ["audit_cancel", "audit_resume", "audit_urgent"])
def test_annotators_and_foreign_maintainers_change_nothing(client, dataset, page):
    audit = make_running_audit(dataset)
    for user in (
        make_member(dataset.project, Role.ANNOTATOR),
        make_member(make_project("Elsewhere"), Role.ADMIN),
    ):
        client.force_login(user)
        assert client.post(address(audit, page)).status_code == 404
    audit.refresh_from_db()
    assert audit.state == Audit.State.SCORING
