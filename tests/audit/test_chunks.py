"""Chunks are scored once, whatever fails on the way; what can't be scored says why."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pytest
from django.db.models.functions import Now

from audit import tasks
from audit.models import Chunk, Claimable, ScoreSet, UnscorableItem
from audit.score_files import score_files
from audit.score_store import file_key, open_scores
from audit.services import chunks
from audit.services.reconcile import reconcile
from audit.services.scores import ScoresRefusedError, request_scores
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.CHUNK_ITEMS = 5
    chunks.loaded_expert.cache_clear()


def run_all(score_set: ScoreSet, limit: int = 200) -> None:
    """Do what workers do, in this process, until nothing is pending."""
    for _ in range(limit):
        pending = Chunk.objects.pending().filter(score_set=score_set).first()
        if pending is None:
            break
        tasks.process_chunk(pending.pk)
    score_set.refresh_from_db()


def catch_wake_ups(monkeypatch) -> list[int]:
    """Return the list that chunks' wake-ups go to instead of the broker."""
    sent: list[int] = []
    monkeypatch.setattr(
        tasks.process_chunk, "apply_async", lambda arguments, **_: sent.append(arguments[0])
    )
    return sent


def test_all_chunks_together_score_every_item_in_order():
    dataset = make_dataset(n_items=12)
    score_set = request_scores(dataset, "stub:3-7")
    assert [(c.start, c.stop) for c in score_set.chunks.all()] == [(0, 5), (5, 10), (10, 12)]
    run_all(score_set)
    assert score_set.state == ScoreSet.State.READY
    logits = open_scores(score_set.pk)
    assert logits.shape == (12, 3)
    assert np.isfinite(logits[0:12]).all()
    assert score_set.card["n_classes"] == 3


def test_the_hash_is_the_same_whatever_the_chunk_size(settings):
    dataset = make_dataset(n_items=12)
    first = request_scores(dataset, "stub:3-7")
    run_all(first)
    settings.CHUNK_ITEMS = 3
    ScoreSet.objects.filter(pk=first.pk).update(expert="earlier")
    second = request_scores(dataset, "stub:3-7")
    run_all(second)
    assert first.sha256 == second.sha256


def test_scores_are_made_once():
    dataset = make_dataset(n_items=12)
    score_set = request_scores(dataset, "stub:3-7")
    run_all(score_set)
    assert request_scores(dataset, "stub:3-7").pk == score_set.pk
    assert not Chunk.objects.pending().exists()


def test_a_wake_up_for_a_finished_chunk_does_nothing():
    dataset = make_dataset(n_items=4)
    score_set = request_scores(dataset, "stub:3")
    chunk = score_set.chunks.get()
    assert chunks.score_chunk(chunk.pk)
    assert not chunks.score_chunk(chunk.pk)
    assert not chunks.score_chunk(10**9)


def test_b043_b044_quarantined_and_changed_images_have_no_scores_and_a_reason():
    dataset = make_dataset(n_items=6)
    dataset.items.filter(position=1).update(quarantine_code="truncated")
    changed = dataset.items.get(position=2)
    (dataset.folder / changed.image).write_bytes(
        (dataset.folder / dataset.items.get(position=3).image).read_bytes()
    )
    (dataset.folder / dataset.items.get(position=4).image).unlink()
    score_set = request_scores(dataset, "stub:3")
    run_all(score_set)
    finite = np.isfinite(open_scores(score_set.pk)[0:6]).all(axis=1)
    assert finite.tolist() == [True, False, False, True, False, True]
    reasons = dict(UnscorableItem.objects.values_list("item__position", "code"))
    assert reasons == {2: "hash_mismatch", 4: "missing"}


def test_b058_an_expert_with_other_classes_is_refused_with_both_numbers():
    dataset = make_dataset(n_items=6, n_classes=3)
    score_set = request_scores(dataset, "stub:4")
    run_all(score_set)
    assert score_set.state == ScoreSet.State.FAILED
    assert "knows 4 classes" in score_set.error


def test_f32_a_shard_damaged_on_the_disk_is_scored_again():
    dataset = make_dataset(n_items=10)
    score_set = request_scores(dataset, "stub:3")
    first, second = score_set.chunks.all()
    assert chunks.score_chunk(first.pk)
    first.refresh_from_db()
    path = score_files().locate(file_key(score_set.pk, first.shard))
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    assert chunks.score_chunk(second.pk)
    score_set.refresh_from_db()
    assert score_set.state == ScoreSet.State.SCORING
    run_all(score_set)
    assert score_set.state == ScoreSet.State.READY


def test_f35_a_chunk_of_a_silent_worker_is_taken_over():
    dataset = make_dataset(n_items=4)
    score_set = request_scores(dataset, "stub:3")
    chunk = score_set.chunks.get()
    chunks.claims.claim(chunk, "another-host:1")
    reconcile()
    assert not Chunk.objects.pending().exists()
    Chunk.objects.update(claimed_at=Now() - timedelta(hours=1))
    reconcile()
    run_all(score_set)
    assert score_set.state == ScoreSet.State.READY


def test_only_a_few_wake_ups_are_on_their_way_at_a_time(monkeypatch):
    sent = catch_wake_ups(monkeypatch)
    dataset = make_dataset(n_items=100)
    request_scores(dataset, "stub:3")
    assert tasks.announce_work() == tasks.ANNOUNCED_AHEAD
    assert tasks.announce_work() == 0
    Chunk.objects.filter(pk__in=sent[:3]).update(work=Claimable.Work.DONE)
    assert tasks.announce_work() == 3
    assert len(set(sent)) == len(sent)


def test_a_lost_wake_up_is_sent_again(monkeypatch, settings):
    sent = catch_wake_ups(monkeypatch)
    request_scores(make_dataset(n_items=4), "stub:3")
    tasks.announce_work()
    long_ago = Now() - timedelta(seconds=2 * settings.CLAIM_SECONDS + 1)
    Chunk.objects.update(announced_at=long_ago)
    tasks.announce_work()
    assert len(sent) == 2


@pytest.mark.parametrize("name", ["resnet18", "timn:resnet18", "timm:", "stub:zero"])
def test_a_name_that_means_no_expert_is_refused_before_anything_is_written(name):
    dataset = make_dataset(n_items=4)
    with pytest.raises(ScoresRefusedError):
        request_scores(dataset, name)
    assert not ScoreSet.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_model_that_takes_longer_to_load_than_a_claim_lasts_keeps_the_claim(
    monkeypatch, settings
):
    settings.CLAIM_SECONDS = 0.4
    beats = []
    load = chunks.loaded_expert

    def slow(name: str):
        deadline = time.monotonic() + 5
        while not beats and time.monotonic() < deadline:
            time.sleep(0.02)
            beats.extend(Chunk.objects.exclude(heartbeat_at=None))
        return load(name)

    monkeypatch.setattr(chunks, "loaded_expert", slow)
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    assert chunks.score_chunk(score_set.chunks.get().pk)
    assert beats
