"""The end of scoring: every shard checked, one manifest, one hash."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import transaction

from audit import score_store
from audit.models import Claimable, ScoreSet
from audit.score_store import ScoreStoreError, Shard, ShardedLogits
from audit.services import claims

logger = logging.getLogger(__name__)


def finish_scores(score_set_id: int) -> bool:
    """Close a score set whose chunks are all done; False when there was nothing to close.

    Whoever comes first holds the closing, for it reads every byte: hours for a very large set.
    A shard whose bytes changed on the disk is scored again instead.
    """
    complete = ScoreSet.objects.complete().filter(pk=score_set_id, work=Claimable.Work.PENDING)
    score_set = complete.select_related("dataset").first()
    epoch = claims.claim(score_set) if score_set else None
    if score_set is None or epoch is None:
        return False
    shards = [
        Shard(chunk.start, chunk.stop, chunk.shard, chunk.shard_sha256)
        for chunk in score_set.chunks.order_by("start")
    ]
    try:
        with claims.heartbeat(score_set, epoch) as lost:
            damaged, sha256 = score_store.check_shards(score_set.pk, shards)
            if damaged:
                return _score_again(score_set, epoch, damaged)
            if lost.is_set():
                return False
            return close_score_set(score_set, epoch, shards, sha256)
    except (OSError, ScoreStoreError) as error:
        logger.warning("%s could not be closed", score_set, exc_info=True)
        retry_or_fail_closing(score_set, epoch, str(error))
        return False


@transaction.atomic
def _score_again(score_set: ScoreSet, epoch: int, damaged: Sequence[Shard]) -> bool:
    reason = f"{len(damaged)} shards are missing or aren't what was written: scored again"
    logger.warning("%s: %s, first %s", score_set, reason, damaged[0].name)
    if claims.put_back(score_set, epoch, reason):
        score_set.chunks.filter(start__in=[shard.start for shard in damaged]).update(
            work=Claimable.Work.PENDING, announced_at=None, shard="", shard_sha256=""
        )
    return False


def close_score_set(score_set: ScoreSet, epoch: int, shards: Sequence[Shard], sha256: str) -> bool:
    """Write the manifest of complete, checked shards and mark the score set ready."""
    n_items, n_columns = ShardedLogits(score_set.pk, shards).shape
    facts = {
        "dataset": score_set.dataset.slug,
        "dataset_sha256": score_set.dataset.sha256,
        "expert": score_set.expert,
        "source": score_set.source,
        "parameters": score_set.parameters,
        "card": score_set.card,
        "n_items": n_items,
        "n_classes": n_columns,
        "sha256": sha256,
    }
    score_store.write_manifest(score_set.pk, shards, facts)
    if not claims.commit(score_set, epoch, state=ScoreSet.State.READY, sha256=sha256):
        return False
    score_store.remove_orphans(score_set.pk, {shard.name for shard in shards})
    return True


@transaction.atomic
def retry_or_fail_closing(score_set: ScoreSet, epoch: int, reason: str) -> None:
    """Let a closing that failed be tried again; after three attempts the score set fails."""
    score_set.refresh_from_db(fields=["attempts"])
    score_set.epoch = epoch
    if claims.retry_or_fail(score_set, reason):
        ScoreSet.objects.filter(pk=score_set.pk).update(state=ScoreSet.State.FAILED)
