"""One wake-up has a process score many short chunks: few messages, few statements."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import tasks
from audit.models import Chunk, Claimable, ScoreSet
from audit.services import chunks
from audit.services.scores import request_scores
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.CHUNK_ITEMS = 5
    chunks.loaded_expert.cache_clear()


def wake(chunk: Chunk) -> None:
    """Have a chunk processed as a message does."""
    tasks.process_chunk.push_request(called_directly=False)
    try:
        tasks.process_chunk.run(chunk.pk)
    finally:
        tasks.process_chunk.pop_request()


def done() -> list[tuple[str, int]]:
    finished = Chunk.objects.filter(work=Claimable.Work.DONE)
    return list(finished.order_by("pk").values_list("score_set__expert", "start"))


def test_one_wake_up_scores_what_has_none_and_closes_the_score_set():
    score_set = request_scores(make_dataset(n_items=23), "stub:3-7")
    wake(score_set.chunks.first())
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.READY
    assert [start for _, start in done()] == [0, 5, 10, 15, 20]


def test_what_has_a_wake_up_or_was_tried_or_is_another_experts_is_left_alone():
    dataset = make_dataset(n_items=25)
    score_set, other = (request_scores(dataset, f"stub:3-{seed}") for seed in (7, 8))
    first, announced, tried, *_ = score_set.chunks.all()
    Chunk.objects.filter(pk=announced.pk).update(announced_at="2026-01-01T00:00Z")
    Chunk.objects.filter(pk=tried.pk).update(epoch=1)
    wake(first)
    assert done() == [("stub:3-7", start) for start in (0, 15, 20)]
    assert other.chunks.pending().count() == 5


def test_a_long_chunk_is_the_only_one_of_its_wake_up(monkeypatch):
    monkeypatch.setattr(chunks, "ROW_SECONDS", 0.0)
    score_set = request_scores(make_dataset(n_items=23), "stub:3-7")
    wake(score_set.chunks.first())
    assert [start for _, start in done()] == [0]


def test_a_part_of_a_chunk_is_not_followed_by_a_whole_one_whose_time_it_lacks():
    score_set = request_scores(make_dataset(n_items=8), "stub:3-7")
    wake(score_set.chunks.last())
    assert [start for _, start in done()] == [5]


def test_urgent_work_waits_for_one_chunk_only(monkeypatch):
    dataset = make_dataset(n_items=25)
    score_set, urgent = (request_scores(dataset, f"stub:3-{seed}") for seed in (7, 8))
    scored = chunks.score_pending

    def hurry(chunk: Chunk) -> bool:
        ScoreSet.objects.filter(pk=urgent.pk).update(is_urgent=True)
        return scored(chunk)

    monkeypatch.setattr(chunks, "score_pending", hurry)
    wake(score_set.chunks.first())
    assert done() == [("stub:3-7", 0)]


def test_a_cancelled_score_set_stops_after_the_chunk_in_hand(monkeypatch):
    score_set = request_scores(make_dataset(n_items=25), "stub:3-7")
    scored = chunks.score_pending

    def cancel(chunk: Chunk) -> bool:
        ScoreSet.objects.update(state=ScoreSet.State.CANCELLED)
        return scored(chunk)

    monkeypatch.setattr(chunks, "score_pending", cancel)
    wake(score_set.chunks.first())
    assert [start for _, start in done()] == [0]


def test_a_chunk_costs_two_writes_and_four_reads():
    score_set = request_scores(make_dataset(n_items=25), "stub:3-7")
    first, *_ = score_set.chunks.all()
    tasks.process_chunk(first.pk)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        wake(score_set.chunks.pending().first())
    statements = [query["sql"] for query in seen.captured_queries]
    writes = [sql for sql in statements if sql.startswith(("UPDATE", "INSERT", "DELETE"))]
    # Four chunks, and the closing's claim and commit.
    assert len(writes) == 2 * 4 + 2, writes
    items = [sql for sql in statements if 'FROM "audit_item"' in sql]
    assert len(items) == 4
    assert len(statements) <= 8 + 6 * 4, statements
