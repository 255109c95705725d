"""The end of scoring: every shard checked, one manifest, one hash."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import transaction

from audit import score_store
from audit.models import Claimable, ScoreSet
from audit.score_store import ScoresMissingError, ScoreStoreError, Shard, ShardedLogits
from audit.services import claims

logger = logging.getLogger(__name__)


def finish_scores(score_set_id: int) -> bool:
    """Close a score set whose chunks are all done; False when there was nothing to close.

    Whoever comes first holds the closing, for it reads every byte: hours for a very large set.
    A shard whose bytes changed on the disk is scored again instead.
    """
    complete = ScoreSet.objects.to_close().filter(pk=score_set_id)
    score_set = complete.select_related("dataset").first()
    epoch = claims.claim(score_set) if score_set else None
    if score_set is None or epoch is None:
        return False
    shards = _shards_of_chunks(score_set)
    _note_bounds(score_set)
    try:
        with claims.heartbeat(score_set, epoch) as lost:
            damaged, sha256 = score_store.check_shards(score_set.pk, shards)
            if damaged:
                return _score_again(score_set, epoch, damaged)
            if lost.is_set():
                return False
            return close_score_set(score_set, epoch, shards, sha256)
    except (OSError, ScoreStoreError) as error:
        logger.warning("%s can't be closed now: %s", score_set, error)
        reason = getattr(error, "strerror", None) or str(error)
        claims.put_off(score_set, epoch, f"the scores can't be finished: {reason}")
        return False


def _note_bounds(score_set: ScoreSet) -> None:
    """Have every page that shows the scores say for how many items they are partly bounds."""
    n_bounded = sum(map(len, score_set.chunks.values_list("bounded", flat=True)))
    if n_bounded:
        notice = (
            f"In {n_bounded:,} of {score_set.dataset.n_items:,} items an option was not among the "
            "likeliest tokens that the server tells: its score is an upper bound."
        )
        score_set.parameters |= {"bounded": n_bounded, "notice": notice}


@transaction.atomic
def _score_again(score_set: ScoreSet, epoch: int, damaged: Sequence[Shard]) -> bool:
    if claims.put_back(score_set, epoch, _describe(damaged)):
        _forget_shards(score_set, damaged)
    return False


def _forget_shards(score_set: ScoreSet, damaged: Sequence[Shard]) -> None:
    logger.warning("%s: %s", score_set, _describe(damaged))
    score_set.chunks.filter(start__in=[shard.start for shard in damaged]).update(
        work=Claimable.Work.PENDING, announced_at=None, attempts=0, shard="", shard_sha256=""
    )


def _describe(damaged: Sequence[Shard]) -> str:
    if not damaged:
        return "the manifest is missing"
    return f"{len(damaged)} shards are missing or aren't what was written, first {damaged[0].name}"


def _shards_of_chunks(score_set: ScoreSet) -> list[Shard]:
    columns = ("start", "stop", "shard", "shard_sha256")
    return [Shard(*row) for row in score_set.chunks.order_by("start").values_list(*columns)]


def find_damage(score_set: ScoreSet) -> str:
    """Return how finished scores differ from what was written, empty if they don't."""
    is_whole, damaged = _damaged_shards(score_set)
    return "" if is_whole else _describe(damaged)


def _damaged_shards(score_set: ScoreSet) -> tuple[bool, list[Shard]]:
    has_manifest = True
    try:
        shards = score_store.read_manifest(score_set.pk)
    except ScoresMissingError:
        has_manifest, shards = False, _shards_of_chunks(score_set)
    damaged, _ = score_store.check_shards(score_set.pk, shards) if shards else ([], "")
    return has_manifest and not damaged, damaged


def reopen_damaged(score_set: ScoreSet) -> str:
    """Check finished scores against what was written; return what is wrong, empty if nothing.

    What workers scored is scored again, the damaged shards alone. What was imported fails and can
    be imported again.
    """
    is_run = score_set.source == ScoreSet.Source.RUN
    is_whole, damaged = _damaged_shards(score_set)
    if is_whole:
        return ""
    reason = _describe(damaged)
    state = ScoreSet.State.SCORING if is_run else ScoreSet.State.FAILED
    with transaction.atomic():
        reopened = ScoreSet.objects.filter(pk=score_set.pk, state=ScoreSet.State.READY).update(
            state=state,
            work=Claimable.Work.PENDING,
            attempts=0,
            announced_at=None,
            error=reason if is_run else f"{reason}: import the scores again",
        )
        if reopened and is_run:
            _forget_shards(score_set, damaged)
    return reason


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
    ready = {"state": ScoreSet.State.READY, "parameters": score_set.parameters}
    if not claims.commit(score_set, epoch, sha256=sha256, **ready):
        return False
    score_store.remove_orphans(score_set.pk, {shard.name for shard in shards})
    return True


@transaction.atomic
def retry_or_fail_closing(score_set: ScoreSet, reason: str) -> None:
    """Let a closing whose worker died be tried again; after three attempts the score set fails."""
    if claims.retry_or_fail(score_set, reason):
        ScoreSet.objects.filter(pk=score_set.pk).update(state=ScoreSet.State.FAILED)
