"""What a running audit says of itself: how fast, how long still, what is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Chunk, Claimable, ScoreSet
from audit.services import workers
from audit.services.progress import score_set_progress
from audit.services.scores import request_scores, resume_scores
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db
N_ITEMS = 40


@pytest.fixture
def score_set(settings) -> ScoreSet:
    settings.CHUNK_ITEMS = 5
    return request_scores(make_dataset(n_items=N_ITEMS), "stub:3")


def finish(score_set: ScoreSet, start: int, seconds_ago: float, took: float = 1.0) -> None:
    """Have a chunk be done, so long ago, after so many seconds."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    score_set.chunks.filter(start=start).update(
        work=Claimable.Work.DONE, claimed_at=at - timedelta(seconds=took), finished_at=at
    )


def run(score_set: ScoreSet, start: int) -> None:
    score_set.chunks.filter(start=start).update(
        work=Claimable.Work.RUNNING, owner="host:1", claimed_at=timezone.now()
    )


def test_speed_is_that_of_the_chunks_done_last(score_set):
    for place in range(4):
        finish(score_set, 5 * place, seconds_ago=3 - place)
    run(score_set, 20)
    now = score_set_progress(score_set, N_ITEMS)
    assert now.rate == pytest.approx(20 / 4, rel=0.02)
    assert now.eta_seconds == pytest.approx(20 / 5, rel=0.02)
    assert (now.done, now.chunks_done, now.workers) == (20, 4, ("host:1",))


def test_a_pause_does_not_make_it_slow(score_set):
    for place, ago in enumerate((7200, 7199, 2, 1)):
        finish(score_set, 5 * place, seconds_ago=ago)
    run(score_set, 20)
    assert score_set_progress(score_set, N_ITEMS).rate == pytest.approx(10 / 2, rel=0.02)


def test_slow_chunks_are_no_pause(score_set):
    for place, ago in enumerate((1200, 600, 0)):
        finish(score_set, 5 * place, seconds_ago=ago, took=600)
    run(score_set, 15)
    assert score_set_progress(score_set, N_ITEMS).rate == pytest.approx(15 / 1800, rel=0.02)


def test_what_waits_for_its_turn_promises_nothing(score_set):
    finish(score_set, 0, seconds_ago=60)
    now = score_set_progress(score_set, N_ITEMS)
    assert (now.rate, now.eta_seconds, now.done) == (None, None, 5)
    finish(score_set, 5, seconds_ago=1)
    assert score_set_progress(score_set, N_ITEMS).rate is not None


def test_chunks_to_be_tried_again_are_counted_until_they_are_done(score_set):
    first, second, *_ = score_set.chunks.all()
    Chunk.objects.filter(pk__in=[first.pk, second.pk]).update(error="worker host:1 died", epoch=1)
    now = score_set_progress(score_set, N_ITEMS)
    assert (now.n_tried_again, now.last_error, now.error) == (2, "worker host:1 died", "")
    Chunk.objects.filter(pk=first.pk).update(work=Claimable.Work.DONE)
    assert score_set_progress(score_set, N_ITEMS).n_tried_again == 1


def test_scores_that_were_cancelled_for_long_and_resumed_do_not_make_workers_look_deaf(score_set):
    long_ago = timezone.now() - timedelta(hours=1)
    score_set.chunks.update(announced_at=long_ago)
    ScoreSet.objects.update(state=ScoreSet.State.CANCELLED)
    assert resume_scores(score_set)
    assert not workers.is_deaf([Chunk.objects.pending()], [1])


def test_a_few_quarantined_items_among_millions_are_found_by_an_index(score_set):
    score_set.dataset.items.filter(position=3).update(quarantine_code="truncated")
    quarantined = score_set.dataset.items.quarantined().order_by("position")
    assert [item.position for item in quarantined] == [3]
    if connection.vendor == "sqlite":
        assert "items_by_quarantine" in quarantined.explain()
