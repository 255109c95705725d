"""One worker at a time holds a piece of work, and a worker that lost it can't finish it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from audit.models import Chunk, ScoreSet
from audit.services import claims
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


def make_chunk() -> Chunk:
    dataset = make_dataset(n_items=4)
    score_set = ScoreSet.objects.create(dataset=dataset, expert="stub:3", source="run")
    return Chunk.objects.create(score_set=score_set, start=0, stop=4)


def test_of_two_claims_of_the_same_row_one_wins():
    chunk = make_chunk()
    assert claims.claim(chunk, "one") == 1
    assert claims.claim(chunk, "two") is None
    chunk.refresh_from_db()
    assert (chunk.owner, chunk.attempts, chunk.work) == ("one", 1, "running")


def test_a_worker_that_comes_back_from_the_dead_writes_nothing():
    chunk = make_chunk()
    first = claims.claim(chunk, "slow")
    chunk.refresh_from_db()
    assert claims.put_back(chunk, first, "slow fell silent")
    chunk.refresh_from_db()
    second = claims.claim(chunk, "quick")
    assert not claims.commit(chunk, first, shard="late.npy")
    assert not claims.beat(chunk, first)
    assert not claims.fail(chunk, first, "late")
    assert claims.commit(chunk, second, shard="quick.npy")
    chunk.refresh_from_db()
    assert (chunk.shard, chunk.work) == ("quick.npy", "done")


def test_finished_work_can_not_be_claimed_again():
    chunk = make_chunk()
    claims.commit(chunk, claims.claim(chunk))
    chunk.refresh_from_db()
    assert claims.claim(chunk) is None


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_keeps_the_claim_and_notices_its_loss(settings):
    settings.CLAIM_SECONDS = 0.4
    chunk = make_chunk()
    epoch = claims.claim(chunk)
    with claims.heartbeat(chunk, epoch) as lost:
        assert not lost.wait(0.35)
        chunk.refresh_from_db()
        assert chunk.heartbeat_at is not None
        claims.put_back(chunk, epoch, "taken away")
        assert lost.wait(5)
    assert not [t for t in threading.enumerate() if t.name.startswith("heartbeat-")]


def test_silence_counts_from_the_claim_where_there_never_was_a_heartbeat(settings):
    chunk = make_chunk()
    claims.claim(chunk, "elsewhere:1")
    assert claims.abandoned(Chunk.objects.all()) == []
    Chunk.objects.update(claimed_at=Now() - timedelta(seconds=settings.CLAIM_SECONDS + 1))
    assert [each.pk for each in claims.abandoned(Chunk.objects.all())] == [chunk.pk]


def test_a_process_of_this_host_that_is_gone_is_dead_at_once():
    mine = claims.owner_name()
    host = mine.rpartition(":")[0]
    assert not claims.is_dead_here(mine)
    assert claims.is_dead_here(f"{host}:{2**22 + 1}")
    assert not claims.is_dead_here(f"another-host:{2**22 + 1}")
    assert not claims.is_dead_here("")


def test_times_are_the_databases():
    chunk = make_chunk()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
    claims.claim(chunk)
    chunk.refresh_from_db()
    assert Chunk.objects.filter(pk=chunk.pk, claimed_at__lte=Now()).exists()
