"""Attempts that fail: tried again, narrowed down to the item to blame, or to the expert."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.db.models.functions import Now

from audit import tasks
from audit.models import Chunk, Claimable, Item, ScoreSet, UnscorableItem
from audit.score_store import open_scores
from audit.services import attempts, audits, chunks, claims
from audit.services.scores import request_scores
from tests.audit.test_chunks import catch_wake_ups
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.CHUNK_ITEMS = 5
    chunks.loaded_expert.cache_clear()


def run_all(score_set: ScoreSet, limit: int = 200) -> int:
    """Do what workers do, in this process and in their order; return how many wake-ups it took."""
    for number in range(limit):
        pending = Chunk.objects.pending().filter(score_set=score_set).in_order().first()
        if pending is None:
            score_set.refresh_from_db()
            return number
        tasks.process_chunk(pending.pk)
    raise AssertionError(f"still pending after {limit} wake-ups")


def raise_at(monkeypatch, positions: set[int], error: BaseException) -> None:
    whole = chunks.predict_items

    def predict(expert, score_set, items: list[Item]):
        if positions & {item.position for item in items}:
            raise error
        return whole(expert, score_set, items)

    monkeypatch.setattr(chunks, "predict_items", predict)


def scored(score_set: ScoreSet) -> list[int]:
    finite = np.isfinite(open_scores(score_set.pk)[: score_set.dataset.n_items]).all(axis=1)
    return np.flatnonzero(~finite).tolist()


@pytest.mark.parametrize("chunk_items", [5, 100])
@pytest.mark.parametrize("poison", [0, 7, 14])
def test_f10_a_poison_item_is_found_wherever_it_lies(monkeypatch, settings, chunk_items, poison):
    settings.CHUNK_ITEMS = chunk_items
    raise_at(monkeypatch, {poison}, MemoryError("too much for this worker"))
    score_set = request_scores(make_dataset(n_items=15), "stub:3")
    run_all(score_set)
    assert score_set.state == ScoreSet.State.READY
    assert scored(score_set) == [poison]
    reason = UnscorableItem.objects.get()
    assert (reason.item.position, reason.code) == (poison, "expert_error")
    assert "too much for this worker" in reason.detail


def test_f10_a_thousand_items_cost_a_few_attempts_not_hundreds(monkeypatch, settings):
    settings.CHUNK_ITEMS = 256
    raise_at(monkeypatch, {200}, MemoryError())
    score_set = request_scores(make_dataset(n_items=256), "stub:3")
    # Three for the chunk, one for each half that fails, three for the item; the others succeed.
    assert run_all(score_set) == 3 + 7 + 3 + 8
    assert scored(score_set) == [200]


@pytest.mark.parametrize("chunk_items", [1, 2, 5, 100])
def test_an_expert_that_never_works_is_to_blame_itself(monkeypatch, settings, chunk_items):
    settings.CHUNK_ITEMS = chunk_items
    raise_at(monkeypatch, set(range(100)), RuntimeError("broken from the start"))
    score_set = request_scores(make_dataset(n_items=100), "stub:3")
    assert run_all(score_set) == attempts.FAILURES_TO_BLAME_THE_EXPERT
    assert score_set.state == ScoreSet.State.FAILED
    assert "broken from the start" in score_set.error


def test_an_expert_that_kills_every_worker_is_to_blame_too():
    score_set = request_scores(make_dataset(n_items=100), "stub:3")
    for _ in range(attempts.FAILURES_TO_BLAME_THE_EXPERT):
        chunk = Chunk.objects.pending().in_order().first()
        claims.claim(chunk, "gone:1")
        chunk.refresh_from_db()
        attempts.give_up_attempt(chunk, "worker gone:1 died", killed=True)
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.FAILED
    assert not UnscorableItem.objects.exists()


def test_a_failed_expert_that_was_put_right_starts_with_a_clean_slate(monkeypatch):
    dataset = make_dataset(n_items=100)
    with monkeypatch.context() as broken:
        raise_at(broken, set(range(100)), RuntimeError("no disk"))
        run_all(request_scores(dataset, "stub:3"))
    score_set = request_scores(dataset, "stub:3")
    assert (score_set.state, score_set.failures) == (ScoreSet.State.SCORING, 0)
    run_all(score_set)
    assert score_set.state == ScoreSet.State.READY


def test_f13_what_never_ends_is_tried_once_for_every_half_and_named(settings):
    settings.CHUNK_ITEMS, settings.CHUNK_SECONDS = 8, 100
    score_set = request_scores(make_dataset(n_items=8), "stub:3")
    poison, n_attempts = 5, 0
    while (chunk := Chunk.objects.pending().in_order().first()) is not None:
        if not chunk.start <= poison < chunk.stop:
            tasks.process_chunk(chunk.pk)
            continue
        claims.claim(chunk, "gone:1")
        n_attempts += 1
        limit = timedelta(seconds=attempts.seconds_for(chunk))
        Chunk.objects.filter(pk=chunk.pk).update(claimed_at=Now() - limit)
        chunk.refresh_from_db()
        attempts.give_up_attempt(chunk, "SystemExit: -241", killed=False)
    assert n_attempts == 3 + 3  # eight, four and two items; three for the one that stands alone
    reason = UnscorableItem.objects.get()
    assert (reason.item.position, reason.code) == (poison, "timed_out")
    assert reason.detail == "stopped: not done within 25 s (LABEL_AUDIT_CHUNK_SECONDS)"
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.READY


def test_f08_the_same_death_reported_twice_counts_once():
    request_scores(make_dataset(n_items=4), "stub:3")
    chunk = Chunk.objects.get()
    claims.claim(chunk, "gone:1")
    chunk.refresh_from_db()
    for _ in range(2):
        attempts.give_up_attempt(chunk, "worker gone:1 died", killed=True)
    assert ScoreSet.objects.get().failures == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_f12_what_is_no_exception_is_recorded_and_passed_on(monkeypatch, error):
    raise_at(monkeypatch, {0}, error)
    request_scores(make_dataset(n_items=4), "stub:3")
    chunk = Chunk.objects.get()
    with pytest.raises(type(error)):
        tasks.process_chunk(chunk.pk)
    chunk.refresh_from_db()
    assert (chunk.work, chunk.attempts) == (Claimable.Work.PENDING, 1)
    assert type(error).__name__ in chunk.error


def test_chunks_that_failed_wait_for_those_that_did_not(monkeypatch):
    raise_at(monkeypatch, {0}, RuntimeError("poison"))
    request_scores(make_dataset(n_items=15), "stub:3")
    tasks.process_chunk(Chunk.objects.in_order().first().pk)
    assert [chunk.start for chunk in Chunk.objects.pending().in_order()] == [5, 10, 0]


def test_chunks_of_an_urgent_audit_come_first_and_displaced_ones_are_announced_anew(monkeypatch):
    sent = catch_wake_ups(monkeypatch)
    early = audits.start_audit(make_dataset(n_items=5), ["stub:3-1", "stub:3-2"])
    late = audits.start_audit(make_dataset(n_items=5), ["stub:3-1", "stub:3-2"])
    audits.set_urgent(late, is_urgent=True)
    tasks.announce_work()
    urgent = set(Chunk.objects.filter(score_set__audits=late).values_list("pk", flat=True))
    assert set(sent[:2]) == urgent
    for _ in range(2):
        displaced = Chunk.objects.filter(score_set__audits=early).in_order().first()
        tasks.process_chunk(displaced.pk)
        displaced.refresh_from_db()
        assert (displaced.work, displaced.announced_at) == (Claimable.Work.PENDING, None)
    assert set(Chunk.objects.filter(work="done").values_list("pk", flat=True)) == urgent
    tasks.process_chunk(displaced.pk)
    displaced.refresh_from_db()
    assert displaced.work == Claimable.Work.DONE


def test_urgency_lasts_as_long_as_an_urgent_audit_waits_for_the_expert():
    dataset = make_dataset(n_items=5)
    names = ["stub:3-1", "stub:3-2", "stub:3-3"]
    urgent = audits.start_audit(dataset, names[:2])
    audits.set_urgent(urgent, is_urgent=True)
    normal = audits.start_audit(dataset, names[1:])
    assert list(marks()) == [True, True, False]
    audits.cancel_audit(urgent)
    assert list(marks()) == [False, False, False]
    audits.resume_audit(urgent)
    assert list(marks()) == [True, True, False]
    audits.set_urgent(normal, is_urgent=True)
    audits.set_urgent(urgent, is_urgent=False)
    assert list(marks()) == [False, True, True]


def marks() -> list[bool]:
    return list(ScoreSet.objects.order_by("expert").values_list("is_urgent", flat=True))


def test_a_calibration_that_raises_is_tried_again_and_then_fails_with_the_reason(monkeypatch):
    audit = audits.start_audit(make_dataset(n_items=5), ["stub:3-1", "stub:3-2"])
    for chunk in Chunk.objects.all():
        tasks.process_chunk(chunk.pk)
    audits.advance_audits()

    def no_memory(_audit_id: int) -> bool:
        audit.refresh_from_db()
        claims.claim(audit)
        raise MemoryError("cannot allocate 40 GB")

    monkeypatch.setattr(tasks.calibration, "calibrate_audit", no_memory)
    for _ in range(claims.MAX_ATTEMPTS):
        audit.refresh_from_db()
        assert audit.state == audit.State.CALIBRATING
        tasks.calibrate_audit(audit.pk)
    audit.refresh_from_db()
    assert audit.state == audit.State.FAILED
    assert "cannot allocate" in audit.error
