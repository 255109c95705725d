"""Scores at their end: closed once, damage noticed, and what is away for now waited for."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from audit import tasks
from audit.images import open_rgb
from audit.models import Audit, Chunk, Claimable, Dataset, Item, ScoreSet, UnscorableItem
from audit.score_files import LocalFiles, score_files
from audit.score_store import MANIFEST, file_key, open_scores
from audit.services import audits, chunks, claims, closing
from audit.services.reconcile import reconcile
from audit.services.scores import ScoresRefusedError, request_scores, store_scores
from scoring.experts.base import ExpertRefused, ExpertUnavailable
from scoring.experts.registry import load_expert
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db
EXPERTS = ["stub:3-1", "stub:3-2"]


@pytest.fixture(autouse=True)
def small_chunks(settings):
    settings.CHUNK_ITEMS = 20
    chunks.loaded_expert.cache_clear()


def work() -> None:
    """Do what workers do until nothing is pending."""
    audits.advance_audits()
    for waiting, task in (
        (Chunk.objects.pending().in_order(), tasks.process_chunk),
        (ScoreSet.objects.to_close(), tasks.close_scores),
        (Audit.objects.to_calibrate(), tasks.calibrate_audit),
    ):
        for pk in list(waiting.values_list("pk", flat=True)):
            task(pk)
        audits.advance_audits()


def make_agreeing_dataset() -> Dataset:
    """A data set whose labels the first expert confirms, so that audits of it make sense."""
    dataset = make_dataset(n_items=40)
    images = [open_rgb(dataset.folder, item.image, sha256=None) for item in dataset.items.all()]
    for item, label in zip(
        dataset.items.all(), load_expert(EXPERTS[0]).predict(images).argmax(axis=1), strict=True
    ):
        Item.objects.filter(pk=item.pk).update(given_label=int(label))
    return dataset


def stored(score_set: ScoreSet, name: str) -> Path:
    return score_files().locate(file_key(score_set.pk, name))


def test_scores_are_closed_once_and_a_closing_that_died_is_taken_up(monkeypatch):
    monkeypatch.setattr(chunks, "CLOSE_AT_ONCE_BYTES", 0)
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    chunk = score_set.chunks.get()
    assert not closing.finish_scores(score_set.pk)
    tasks.process_chunk(chunk.pk)
    score_set.refresh_from_db()
    assert claims.claim(score_set, "another-host:1") == 1
    assert not closing.finish_scores(score_set.pk)
    ScoreSet.objects.update(claimed_at=Now() - timedelta(hours=1))
    reconcile()
    sent = []
    monkeypatch.setattr(tasks.close_scores, "delay", sent.append)
    assert tasks.announce_work() == 1
    tasks.close_scores(*sent)
    score_set.refresh_from_db()
    assert score_set.is_ready


def test_a_worker_that_lost_its_claim_takes_its_shard_away(monkeypatch):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    chunk = score_set.chunks.get()
    whole = chunks.predict_items

    def taken_away(*args):
        Chunk.objects.update(epoch=7)
        return whole(*args)

    monkeypatch.setattr(chunks, "predict_items", taken_away)
    assert not chunks.score_chunk(chunk.pk)
    assert score_files().names(score_set.pk) == []


@pytest.mark.parametrize(
    "trouble",
    [ExpertUnavailable("no answer from the server"), OperationalError("server closed")],
)
def test_what_is_away_is_waited_for_and_nobody_is_to_blame(monkeypatch, trouble):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    chunk = score_set.chunks.get()

    def away(*_args):
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(chunks, "predict_items", away)
        for _ in range(2 * claims.MAX_ATTEMPTS):
            assert Chunk.objects.pending().exists()
            tasks.process_chunk(chunk.pk)
            assert not Chunk.objects.pending().exists()
            Chunk.objects.update(not_before=Now() - timedelta(seconds=1))
    chunk.refresh_from_db()
    assert (chunk.work, chunk.attempts) == (Claimable.Work.PENDING, 0)
    assert str(trouble) in chunk.error
    work()
    score_set.refresh_from_db()
    assert (score_set.is_ready, score_set.failures) == (True, 0)


@pytest.mark.parametrize("full", ["scores", "manifest", "evidence"])
def test_f31_a_full_disk_costs_no_item_and_no_audit(monkeypatch, full):
    audit = audits.start_audit(make_agreeing_dataset(), EXPERTS)
    put = LocalFiles.put

    def no_space(self, key, blocks):
        if (full == "manifest") == key.endswith(MANIFEST):
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(self, key, blocks)

    def no_space_for_evidence(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        if full == "evidence":
            broken.setattr("audit.services.calibration.write_evidence", no_space_for_evidence)
        else:
            broken.setattr(LocalFiles, "put", no_space)
        work()
        for kind in (Chunk, ScoreSet, Audit):
            kind.objects.update(not_before=None)
        work()
    audit.refresh_from_db()
    assert audit.is_under_way
    said = [each.error for kind in (Chunk, ScoreSet, Audit) for each in kind.objects.all()]
    assert {error.rpartition(": ")[2] for error in said} == {"", "No space left on device"}
    assert not [error for error in said if "Errno" in error or "Error" in error]
    for kind in (Chunk, ScoreSet, Audit):
        kind.objects.update(not_before=None)
    work()
    audit.refresh_from_db()
    assert (audit.state, audit.error) == (Audit.State.READY, "")
    assert not UnscorableItem.objects.exists()


def test_an_expert_that_refuses_in_the_middle_fails_as_a_whole(monkeypatch):
    score_set = request_scores(make_dataset(n_items=40), "stub:3")

    def refuse(*_args):
        raise ExpertRefused("bad_weights", "the weights hold NaN")

    monkeypatch.setattr(chunks, "predict_items", refuse)
    tasks.process_chunk(score_set.chunks.first().pk)
    score_set.refresh_from_db()
    assert (score_set.state, score_set.error) == (ScoreSet.State.FAILED, "the weights hold NaN")


@pytest.mark.parametrize("damage", ["cut", "gone", "manifest"])
def test_f32_scores_damaged_after_they_were_finished_are_scored_again(damage):
    audit = audits.start_audit(make_agreeing_dataset(), EXPERTS)
    tasks_before = Chunk.objects.count()
    for pk in Chunk.objects.values_list("pk", flat=True):
        tasks.process_chunk(pk)
    score_set = audit.score_sets.first()
    hashes = dict(ScoreSet.objects.values_list("expert", "sha256"))
    chunk = score_set.chunks.last()
    path = stored(score_set, MANIFEST if damage == "manifest" else chunk.shard)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    audits.advance_audits()
    tasks.calibrate_audit(audit.pk)
    audit.refresh_from_db()
    assert audit.state == Audit.State.SCORING
    assert Chunk.objects.pending().count() == (0 if damage == "manifest" else 1)
    work()
    audit.refresh_from_db()
    assert audit.state == Audit.State.READY
    assert dict(ScoreSet.objects.values_list("expert", "sha256")) == hashes
    assert Chunk.objects.count() == tasks_before


def test_f32_imported_scores_that_are_damaged_fail_and_can_be_imported_again():
    dataset = make_dataset(n_items=40)
    labels = list(dataset.items.values_list("given_label", flat=True))
    rows = 5 * np.eye(3, dtype=np.float32)[labels]
    source = ScoreSet.Source.IMPORTED
    first = store_scores(dataset, "a", [rows], source=source)
    store_scores(dataset, "b", [2 * rows], source=source)
    audit = audits.start_audit(dataset, ["a", "b"])
    for path in stored(first, "x").parent.glob("*.npy"):
        path.write_bytes(b"\x93NUMPY rubbish")
    tasks.calibrate_audit(audit.pk)
    audits.advance_audits()
    audit.refresh_from_db()
    assert audit.state == Audit.State.FAILED
    assert "import the scores again" in audit.error
    assert store_scores(dataset, "a", [rows], source=source).sha256 == first.sha256
    assert audits.resume_audit(audit)
    tasks.calibrate_audit(audit.pk)
    audit.refresh_from_db()
    assert audit.state == Audit.State.READY


def test_a_store_that_is_away_has_lost_nothing(monkeypatch):
    score_set = request_scores(make_dataset(n_items=4), "stub:3")
    tasks.process_chunk(score_set.chunks.get().pk)
    score_set.refresh_from_db()

    def away(*_args):
        raise OSError("the score store failed: connection refused")

    monkeypatch.setattr(LocalFiles, "locate", away)
    with pytest.raises(closing.ScoreStoreError, match="connection refused"):
        closing.reopen_damaged(score_set)
    score_set.refresh_from_db()
    assert score_set.is_ready


def test_an_import_that_fails_leaves_nothing_and_one_that_was_killed_is_taken_up():
    dataset = make_dataset(n_items=4)
    rows = np.eye(4, 3, dtype=np.float32)
    source = ScoreSet.Source.IMPORTED

    def broken():
        yield rows[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_scores(dataset, "saved", broken(), source=source)
    assert not ScoreSet.objects.exists()
    left = ScoreSet.objects.create(dataset=dataset, expert="saved", source=source)
    claims.claim(left, "another-host:1")
    with pytest.raises(ScoresRefusedError, match="just now"):
        store_scores(dataset, "saved", [rows], source=source)
    with pytest.raises(ScoresRefusedError, match="interrupted"):
        request_scores(dataset, "saved")
    ScoreSet.objects.update(claimed_at=Now() - timedelta(hours=1))
    np.testing.assert_array_equal(
        open_scores(store_scores(dataset, "saved", [rows], source=source).pk)[0:4], rows
    )
