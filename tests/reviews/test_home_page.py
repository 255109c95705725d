"""The start page: my queue first, then what runs, what needs somebody, what is ready."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from audit.models import Audit, AuditExpert, Chunk, Role, ScoreSet, Worker
from reviews.models import ReviewSlot
from reviews.views.home import find_review_queues
from tests.factories import (
    PASSWORD,
    make_dataset,
    make_member,
    make_project,
    make_ready_audit,
    make_sample,
)

pytestmark = pytest.mark.django_db


def read(client, user):
    client.force_login(user)
    return client.get("/")


def lease(slot, user):
    ReviewSlot.objects.filter(pk=slot.pk).update(
        state="leased", annotator=user, leased_until=timezone.now()
    )


def make_running_audit(dataset):
    """One expert with three of four items scored, one with its scores ready."""
    audit = Audit.objects.create(dataset=dataset)
    for order, state in enumerate(["scoring", "ready"]):
        score_set = ScoreSet.objects.create(
            dataset=dataset, expert=f"stub:3-{7 + order}", source="run", state=state
        )
        AuditExpert.objects.create(audit=audit, score_set=score_set, order=order)
    scoring = ScoreSet.objects.get(state="scoring", audits=audit)
    Chunk.objects.create(score_set=scoring, start=0, stop=3, work="done")
    Chunk.objects.create(score_set=scoring, start=3, stop=4)
    return audit


def test_an_item_waits_once_however_many_votes_it_still_needs():
    audit = make_ready_audit()
    user = make_member(audit.dataset.project)
    make_sample(audit, n_items=5, votes_per_item=3)
    queue = find_review_queues(user)[0]
    assert (queue.n_waiting, queue.n_votes, queue.n_judged) == (5, 15, 0)


def test_what_i_hold_waits_for_me_and_what_others_hold_does_not():
    audit = make_ready_audit()
    mine, theirs = (make_member(audit.dataset.project) for _ in range(2))
    sample = make_sample(audit, n_items=5)
    first, second, third = sample.slots.all()[:3]
    lease(first, mine)
    lease(second, theirs)
    lease(third, theirs)
    assert find_review_queues(mine)[0].n_waiting == 3
    assert find_review_queues(theirs)[0].n_waiting == 4


def test_the_open_queue_comes_first_with_its_review_button(client):
    audit = make_ready_audit(make_dataset(notice="Planted on purpose."))
    make_sample(audit, n_items=5)
    page = read(client, make_member(audit.dataset.project)).content.decode()
    assert reverse("reviews:desk", args=[audit.pk]) in page
    assert "items wait for you" in page
    assert "Planted on purpose." in page


def test_annotators_see_their_queues_and_nothing_else(client):
    audit = make_ready_audit()
    make_running_audit(audit.dataset)
    answer = read(client, make_member(audit.dataset.project))
    page = answer.content.decode()
    assert reverse("audit:audit_detail", args=[audit.pk]) not in page
    assert "New audit" not in page
    assert "Under way" not in page


def test_nobody_sees_another_projects_queues_or_audits(client):
    audit = make_ready_audit()
    make_sample(audit, n_items=5)
    make_running_audit(audit.dataset)
    answer = read(client, make_member(make_project("Elsewhere"), Role.ADMIN))
    assert answer.context["open_queues"] == []
    assert answer.context["running"] == []
    assert audit.dataset.slug not in answer.content.decode()


def test_an_audit_under_way_shows_its_share_and_whether_anybody_listens(client):
    dataset = make_dataset(n_items=4)
    audit = make_running_audit(dataset)
    user = make_member(dataset.project, Role.MAINTAINER)
    answer = read(client, user)
    run = answer.context["running"][0]
    assert (run.audit, run.n_done, run.n_total, run.share) == (audit, 7, 8, 7 / 8)
    assert "No worker is listening" in answer.content.decode()
    now = timezone.now()
    Worker.objects.create(name="host:1", version="0.1.0", started_at=now, seen_at=now)
    part = client.get("/progress/").content.decode()
    assert "No worker is listening" not in part
    assert "88 % scored" in part
    assert "<html" not in part


def test_the_poll_reloads_the_page_when_nothing_is_under_way_any_more(client):
    client.force_login(make_member(make_project(), Role.MAINTAINER))
    assert client.get("/progress/")["HX-Refresh"] == "true"


def test_what_failed_or_waits_for_somebody_is_listed(client):
    ready = make_ready_audit()
    dataset = ready.dataset
    user = make_member(dataset.project, Role.MAINTAINER)
    failed = Audit.objects.create(dataset=dataset, state="failed", error="no weights")
    lonely = make_dataset(dataset.project)
    running = make_running_audit(make_dataset(dataset.project, n_items=4))
    Chunk.objects.filter(score_set__audits=running, start=3).update(work="failed")
    context = read(client, user).context
    assert list(context["failed_audits"]) == [failed]
    assert list(context["unsampled_audits"]) == [ready]
    assert list(context["unaudited_datasets"]) == [lonely]
    assert context["failed_chunks"] == [(running.pk, "stub:3-7", 1)]
    make_sample(ready, n_items=2)
    assert list(read(client, user).context["unsampled_audits"]) == []


def test_empty_states_say_what_to_do_next(client):
    outsider = User.objects.create_user("outsider", password=PASSWORD)
    assert "in no project yet" in read(client, outsider).content.decode()
    project = make_project()
    maintainer = make_member(project, Role.MAINTAINER)
    assert "import_dataset" in read(client, maintainer).content.decode()
    page = read(client, make_member(project)).content.decode()
    assert "When a maintainer has drawn a sample" in page


def test_when_all_is_judged_the_page_says_so(client):
    audit = make_ready_audit()
    make_sample(audit, n_items=2)
    user, other = (make_member(audit.dataset.project) for _ in range(2))
    for slot in ReviewSlot.objects.all():
        lease(slot, other)
    assert "Every item that was drawn for you is judged" in read(client, user).content.decode()


def test_a_visitor_is_asked_to_log_in(client):
    assert client.get("/")["Location"].startswith(reverse("login"))


def test_the_number_of_queries_does_not_grow_with_the_audits(client, django_assert_num_queries):
    project = make_project()
    user = make_member(project, Role.MAINTAINER)
    client.force_login(user)
    counts = []
    for _ in range(2):
        for _ in range(3):
            make_sample(make_ready_audit(make_dataset(project)), n_items=2)
            make_running_audit(make_dataset(project, n_items=4))
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            client.get("/")
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 18
