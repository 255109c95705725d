"""What becomes of a chunk whose attempt failed: tried again, cut in halves, or given up."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from audit import score_store
from audit.models import Chunk, Claimable, ScoreSet, UnscorableItem
from audit.redaction import clean_error
from audit.services import claims
from audit.services.closing import finish_scores
from audit.services.scores import fail_scores

# So many failures without one finished chunk: it isn't the items.
FAILURES_TO_BLAME_THE_EXPERT = 8
KILLED, RAISED, TIMED_OUT = GIVEN_UP = ("killed_worker", "expert_error", "timed_out")
# A part of a chunk that never ended is given less time; loading the expert takes some.
LEAST_SHARE_OF_TIME = 0.25
# Who was stopped for time claimed the chunk a moment after the clock was started.
NEARLY_ALL = 0.9


def seconds_for(chunk: Chunk) -> int:
    """Return how long a chunk may take before its process is stopped."""
    share = max(chunk.n_items / settings.CHUNK_ITEMS, LEAST_SHARE_OF_TIME)
    return round(settings.CHUNK_SECONDS * share)


def give_up_attempt(chunk: Chunk, reason: str, *, killed: bool) -> None:
    """Decide what becomes of a running chunk whose worker died (`killed`) or raised.

    It is tried three times, or once if it never ended, then cut in halves until the item to blame
    stands alone; that item becomes unscorable and the rest goes on. An expert that fails again
    and again and never finished a chunk is to blame itself: its score set fails.
    """
    if not _still_held(chunk).exists():
        return
    code = KILLED if killed else RAISED
    is_timed_out = _is_timed_out(chunk)
    if is_timed_out:
        code = TIMED_OUT
        reason = f"stopped: not done within {seconds_for(chunk)} s (LABEL_AUDIT_CHUNK_SECONDS)"
    reason = clean_error(reason)
    ScoreSet.objects.filter(pk=chunk.score_set_id).update(failures=F("failures") + 1)
    if _is_expert_to_blame(chunk):
        if claims.fail(chunk, chunk.epoch, reason):
            fail_scores(chunk.score_set_id, f"no chunk was ever finished, last: {reason}")
    elif chunk.n_items > 1 and (is_timed_out or chunk.attempts >= claims.MAX_ATTEMPTS):
        _split(chunk, reason)
    elif chunk.attempts < claims.MAX_ATTEMPTS:
        claims.put_back(chunk, chunk.epoch, reason)
    else:
        _give_up_item(chunk, code, reason)


def _still_held(chunk: Chunk) -> QuerySet[Chunk]:
    return Chunk.objects.filter(pk=chunk.pk, work=Claimable.Work.RUNNING, epoch=chunk.epoch)


def _is_timed_out(chunk: Chunk) -> bool:
    longest = timedelta(seconds=NEARLY_ALL * seconds_for(chunk))
    return _still_held(chunk).filter(claimed_at__lt=Now() - longest).exists()


def _is_expert_to_blame(chunk: Chunk) -> bool:
    # An item that was given up is a chunk that is done, and no sign of life of the expert.
    n_done = chunk.score_set.chunks.filter(work=Claimable.Work.DONE).count()
    if n_done > chunk.score_set.unscorable.filter(code__in=GIVEN_UP).count():
        return False
    failures = ScoreSet.objects.values_list("failures", flat=True).get(pk=chunk.score_set_id)
    return failures >= FAILURES_TO_BLAME_THE_EXPERT


@transaction.atomic
def _split(chunk: Chunk, reason: str) -> None:
    """Cut a chunk that failed too often in halves.

    One of them holds the cause, so a half is cut again after one failure; only an item that
    stands alone has all its attempts, because it is given up after them.
    """
    middle = (chunk.start + chunk.stop) // 2
    halved = _still_held(chunk).update(
        stop=middle,
        work=Claimable.Work.PENDING,
        epoch=F("epoch") + 1,
        attempts=_attempts_used(middle - chunk.start),
        owner="",
        announced_at=None,
        error=reason,
    )
    if halved:
        Chunk.objects.create(
            score_set=chunk.score_set,
            start=middle,
            stop=chunk.stop,
            epoch=chunk.epoch + 1,
            attempts=_attempts_used(chunk.stop - middle),
            error=reason,
        )


def _attempts_used(n_items: int) -> int:
    return claims.MAX_ATTEMPTS - 1 if n_items > 1 else 0


def _give_up_item(chunk: Chunk, code: str, reason: str) -> None:
    score_set = chunk.score_set
    item = score_set.dataset.items.get(position=chunk.start)
    blank = np.full((1, score_set.dataset.n_classes), np.nan, dtype=np.float32)
    shard = score_store.write_shard(
        score_set.pk, chunk.start, [blank], (1, blank.shape[1]), epoch=chunk.epoch
    )
    with transaction.atomic():
        if claims.commit(chunk, chunk.epoch, shard=shard.name, shard_sha256=shard.sha256):
            UnscorableItem.objects.bulk_create(
                [UnscorableItem(score_set=score_set, item=item, code=code, detail=reason)],
                ignore_conflicts=True,
            )
    finish_scores(score_set.pk)
