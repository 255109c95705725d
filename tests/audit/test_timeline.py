"""What happened when in an audit: who scored, what was begun anew, and why items were left out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse

from audit.models import Audit, Chunk, Claimable, Role, ScoreSet, UnscorableItem
from audit.services import claims
from audit.services.attempts import give_up_attempt
from audit.services.audits import advance_audits, start_audit
from audit.services.timeline import timeline
from audit.tasks import calibrate_audit, process_chunk
from tests.factories import make_dataset, make_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit(settings):
    settings.CHUNK_ITEMS = 20
    dataset = make_dataset(n_items=40, n_classes=2)
    return start_audit(dataset, ["stub:2-1", "stub:2-2"])


def work(audit):
    """Score all of it; one chunk's first worker dies."""
    first = Chunk.objects.order_by("pk").first()
    claims.claim(first, "gone:1")
    give_up_attempt(Chunk.objects.select_related("score_set__dataset").get(pk=first.pk), "died",
                    killed=True)  # fmt: skip
    for chunk in Chunk.objects.filter(work=Claimable.Work.PENDING):
        process_chunk(chunk.pk)
    advance_audits()
    calibrate_audit(audit.pk)


def test_each_step_has_its_time_its_attempts_and_its_workers(audit):
    before = timeline(audit)
    assert [(step.label, step.began) for step in before] == [
        ("scoring", None), ("closing", None),
        ("scoring", None), ("closing", None),
        ("calibrating and flagging", None),
    ]  # fmt: skip
    work(audit)
    audit.refresh_from_db()
    scoring, closing, other, _, calibrating = timeline(audit)
    assert (scoring.pieces, scoring.repeats, scoring.n_workers) == ((2, 2), 1, 1)
    assert (other.pieces, other.repeats) == ((2, 2), 0)
    assert scoring.workers == ((claims.owner_name(), 2),)
    assert scoring.began <= scoring.ended <= closing.ended <= calibrating.began
    assert scoring.took == scoring.ended - scoring.began
    assert calibrating.workers == ((claims.owner_name(), 1),)


def test_scores_of_an_earlier_audit_say_so(audit):
    work(audit)
    Chunk.objects.update(claimed_at=F("claimed_at") - timedelta(days=1))
    assert timeline(audit)[0].said == "scored before, for another audit"


def test_imported_scores_have_no_chunks(audit):
    ScoreSet.objects.update(source=ScoreSet.Source.IMPORTED)
    steps = timeline(audit)
    assert [step.label for step in steps] == ["imported", "imported", "calibrating and flagging"]
    assert steps[0].pieces is None


def test_the_page_unfolds_it_and_counts_reasons_before_it_lists_items(client, audit):
    work(audit)
    items = list(audit.dataset.items.all())
    audit.dataset.items.filter(pk__in=[each.pk for each in items[:3]]).update(
        quarantine_code="truncated"
    )
    score_set = ScoreSet.objects.order_by("pk").first()
    UnscorableItem.objects.create(score_set=score_set, item=items[5], code="timed_out")
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    page = client.get(reverse("audit:audit_detail", args=[audit.pk]))
    assert page.context["left_out_by_reason"] == [
        ("truncated", "", 3), ("timed_out", "stub:2-1", 1)
    ]  # fmt: skip
    address = reverse("audit:audit_timeline", args=[audit.pk])
    assert f'hx-get="{address}"' in page.content.decode()
    # Whether so few labels are enough for these experts hangs on the seed; no matter here.
    Audit.objects.update(state="ready", work="done", finished_at=Now(), error="")
    part = client.get(address).content.decode()
    assert "<html" not in part
    assert "not ended" not in part
    # Whatever stopped half-way doesn't go on.
    Audit.objects.update(state="failed", work="failed", finished_at=None)
    failed = client.get(address).content.decode()
    assert "not ended" in failed
    assert "goes on" not in failed
    for said in ("stub:2-2", claims.owner_name(), "asked for", "calibrating and flagging"):
        assert said in part


def test_a_long_audit_costs_as_many_queries_as_a_short_one(audit, django_assert_num_queries):
    Audit.objects.filter(pk=audit.pk).update(state=Audit.State.SCORING)
    with django_assert_num_queries(5):
        timeline(audit)
