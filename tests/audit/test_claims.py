"""One worker at a time holds a piece of work, and a worker that lost it can't finish it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from audit.models import Chunk, Claimable, ScoreSet
from audit.services import claims
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


def make_chunk() -> Chunk:
    dataset = make_dataset(n_items=4)
    score_set = ScoreSet.objects.create(dataset=dataset, expert="stub:3", source="run")
    return Chunk.objects.create(score_set=score_set, start=0, stop=4)


FIELDS = sorted(field.name for field in Claimable._meta.get_fields())


def fields_of(chunk: Chunk) -> dict:
    return Chunk.objects.values(*FIELDS).get(pk=chunk.pk)


def make_held_chunk(work: str = "running") -> tuple[Chunk, Chunk]:
    """A chunk that was announced, claimed and renewed, and one that looks just like it."""
    first = make_chunk()
    other = Chunk.objects.create(score_set=first.score_set, start=4, stop=8)
    now = Now()
    Chunk.objects.update(
        work=work, epoch=3, attempts=2, owner="one", not_before=now, announced_at=now,
        claimed_at=now, heartbeat_at=now, finished_at=now, error="before",
    )  # fmt: skip
    first.refresh_from_db()
    return first, other


SECONDS = claims.PAUSE_SECONDS
DONE = {"work": "done", "error": "", "finished_at": "later"}
FAILED = {"work": "failed", "error": "no space", "finished_at": "later"}
BACK = {"work": "pending", "owner": "", "announced_at": None, "error": "no space"}
OFF = {**BACK, "attempts": 1, "not_before": "in a while"}
CANCELLED = {"work": "cancelled", "finished_at": "later", "error": ""}
AGAIN = {
    "work": "pending",
    "attempts": 0,
    "error": "",
    **dict.fromkeys(("announced_at", "not_before", "finished_at")),
}
CLAIMED = {
    "work": "running",
    "epoch": 4,
    "attempts": 3,
    "owner": "two",
    "error": "",
    "claimed_at": "later",
    "heartbeat_at": None,
}


@pytest.mark.parametrize(
    ("before", "act", "expected"),
    [
        ("pending", lambda row: claims.claim(row, "two") == 4, CLAIMED),
        ("running", lambda row: claims.beat(row, 3), {"heartbeat_at": "later"}),
        ("running", lambda row: claims.commit(row, 3), DONE),
        ("running", lambda row: claims.fail(row, 3, "no space"), FAILED),
        ("running", lambda row: claims.put_back(row, 3, "no space"), BACK),
        ("running", lambda row: claims.put_off(row, 3, "no space"), OFF),
        ("running", lambda row: not claims.retry_or_fail(row, "no space"), BACK),
        ("pending", claims.cancel, CANCELLED),
        ("running", claims.cancel, CANCELLED),
        ("cancelled", claims.resume, AGAIN),
        ("failed", claims.resume, AGAIN),
    ],
)
def test_each_step_changes_what_it_should_of_one_row_and_nothing_else(before, act, expected):
    chunk, other = make_held_chunk(before)
    Chunk.objects.update(**{name: Now() - timedelta(hours=1) for name in FIELDS if "_at" in name})
    old, others = fields_of(chunk), fields_of(other)
    assert act(chunk) is True
    new = fields_of(chunk)
    changed = {name: value for name, value in new.items() if value != old[name]}
    for name, value in changed.items():
        if name.endswith("_at") and value is not None:
            assert timedelta(minutes=59) < value - old[name] < timedelta(minutes=61)
            changed[name] = "later"
        elif name == "not_before" and value is not None:
            pause = (value - old[name]).total_seconds()
            assert 10 == SECONDS <= pause < SECONDS + 5
            changed[name] = "in a while"
    assert changed == expected
    assert fields_of(other) == others


@pytest.mark.parametrize("work", Claimable.Work.values)
def test_no_step_goes_from_a_state_it_is_not_for_or_with_an_older_epoch(work):
    chunk, _other = make_held_chunk(work)
    old = fields_of(chunk)
    epoch = 2 if work == "running" else 3
    for act in (claims.fail, claims.put_back, claims.put_off):
        assert act(chunk, epoch, "late") is False
    assert claims.commit(chunk, epoch) is False
    assert claims.beat(chunk, epoch) is False
    if work != "pending":
        assert claims.claim(chunk) is None
    if work not in {"pending", "running"}:
        assert claims.cancel(chunk) is False
    if work not in {"cancelled", "failed"}:
        assert claims.resume(chunk) is False
    assert fields_of(chunk) == old


def test_work_is_given_up_after_three_attempts():
    chunk, _other = make_held_chunk()
    Chunk.objects.update(attempts=3)
    chunk.refresh_from_db()
    assert claims.retry_or_fail(chunk, "died thrice") is True
    chunk.refresh_from_db()
    assert (chunk.work, chunk.error) == ("failed", "died thrice")


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


@pytest.mark.parametrize(
    ("answers", "is_lost"),
    [
        ((DatabaseError, True, DatabaseError, True), False),
        ((DatabaseError, DatabaseError), True),
        ((True, False), True),
    ],
)
def test_a_claim_counts_as_lost_after_two_beats_in_a_row_that_reach_no_database(
    settings, monkeypatch, answers, is_lost
):
    settings.CLAIM_SECONDS = 0.04
    left, has_asked_all = list(answers), threading.Event()

    def answer(_row, epoch):
        assert epoch == 7
        said = left.pop(0) if left else True
        if not left:
            has_asked_all.set()
        if said is DatabaseError:
            raise DatabaseError
        return said

    monkeypatch.setattr(claims, "beat", answer)
    with claims.heartbeat(make_chunk(), 7) as lost:
        assert has_asked_all.wait(5)
        assert lost.wait(5 if is_lost else 0.05) is is_lost


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
    assert not claims.is_dead_here(f"{host}:")


def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def refuse(_pid, _signal):
        raise PermissionError

    monkeypatch.setattr(claims.os, "kill", refuse)
    assert not claims.is_dead_here(claims.owner_name())


def test_times_are_the_databases():
    chunk = make_chunk()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
    claims.claim(chunk)
    chunk.refresh_from_db()
    assert Chunk.objects.filter(pk=chunk.pk, claimed_at__lte=Now()).exists()
