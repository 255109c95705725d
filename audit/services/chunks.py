"""One chunk: claim, score, write the shard, commit. Runs in workers, never in the web process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F
from numpy.typing import NDArray

from audit import score_store
from audit.models import Chunk, Claimable, Item, ScoreSet, UnscorableItem
from audit.services import claims
from audit.services.inputs import prepare_inputs
from audit.services.scores import check_kind, fail_scores, finish_scores, models_folder
from scoring.experts.base import (
    Expert,
    ExpertRefused,
    InputProblem,
    UnknownExpertError,
    UnscorableInputsError,
    fill_absent_choices,
)
from scoring.experts.registry import load_expert

logger = logging.getLogger(__name__)


@lru_cache(maxsize=2)
def loaded_expert(name: str) -> Expert:
    """Return the expert, kept in this process's memory between chunks."""
    return load_expert(name, weights_root=models_folder())


def score_chunk(chunk_id: int) -> bool:
    """Score one pending chunk; False when there was nothing to do or the claim was lost.

    Raises whatever the expert raises; `give_up_attempt` then decides what comes next.
    """
    chunk = Chunk.objects.pending().select_related("score_set__dataset").filter(pk=chunk_id).first()
    epoch = claims.claim(chunk) if chunk else None
    if chunk is None or epoch is None:
        return False
    score_set = chunk.score_set
    try:
        expert = loaded_expert(score_set.expert)
        _check_expert(score_set, expert)
    except (ExpertRefused, UnknownExpertError) as error:
        claims.fail(chunk, epoch, str(error))
        fail_scores(score_set.pk, str(error))
        return False
    items = list(
        score_set.dataset.items.filter(position__gte=chunk.start, position__lt=chunk.stop).order_by(
            "position"
        )
    )
    with claims.heartbeat(chunk, epoch) as lost:
        logits, unscorable = predict_items(expert, score_set, items)
        if lost.is_set():
            return False
        shard = score_store.write_shard(
            score_set.pk, chunk.start, [logits], (len(items), logits.shape[1]), epoch=epoch
        )
    with transaction.atomic():
        if not claims.commit(chunk, epoch, shard=shard.name, shard_sha256=shard.sha256):
            logger.warning("chunk %s: claim lost, result discarded", chunk.pk)
            return False
        UnscorableItem.objects.bulk_create(unscorable, ignore_conflicts=True)
    finish_scores(score_set)
    return True


def _check_expert(score_set: ScoreSet, expert: Expert) -> None:
    check_kind(score_set.dataset, score_set.expert, expert.takes)
    expected, got = score_set.dataset.n_classes, expert.card.n_classes
    if got not in {None, expected}:
        raise ExpertRefused(
            "class_count",
            f"{score_set.expert} knows {got} classes, {score_set.dataset} has {expected}",
        )
    if not score_set.card:
        score_set.card = expert.card.to_json()
        ScoreSet.objects.filter(pk=score_set.pk, card={}).update(card=score_set.card)


def predict_items(
    expert: Expert, score_set: ScoreSet, items: Sequence[Item]
) -> tuple[NDArray[np.float32], list[UnscorableItem]]:
    """Return logits (n_items, n_classes) and the items that have none, with the reason.

    A row is NaN where the item is quarantined, its image is no longer what was imported, the
    expert can't score it, or returned something that isn't finite.
    """
    n_classes = score_set.dataset.n_classes
    logits = np.full((len(items), n_classes), np.nan, dtype=np.float32)
    inputs = prepare_inputs(score_set.dataset, items)
    problems = inputs.problems
    if inputs.values:
        predicted, refused = _predict(expert, inputs.values)
        logits[inputs.places] = fill_absent_choices(predicted, n_classes)
        problems |= {inputs.places[place]: problem for place, problem in refused.items()}
    for place in inputs.places:
        if not np.isfinite(logits[place]).all():
            logits[place] = np.nan
            problems.setdefault(
                place, InputProblem("nonfinite", "the expert returned NaN or infinity")
            )
    unscorable = [
        _unscorable(score_set, items[place], problem.code, problem.detail)
        for place, problem in sorted(problems.items())
    ]
    return logits, unscorable


def _predict(
    expert: Expert, inputs: Sequence[Any]
) -> tuple[NDArray[np.float32], dict[int, InputProblem]]:
    try:
        return expert.predict(inputs), {}
    except UnscorableInputsError as refusal:
        return refusal.logits, refusal.problems


def _unscorable(score_set: ScoreSet, item: Item, code: str, detail: str) -> UnscorableItem:
    return UnscorableItem(score_set=score_set, item=item, code=code, detail=detail)


def give_up_attempt(chunk: Chunk, reason: str, *, killed: bool) -> None:
    """Decide what becomes of a running chunk whose worker died (`killed`) or raised.

    It is tried three times, then cut in halves until the item to blame stands alone; that item
    becomes unscorable and the rest goes on. An expert that raises on two chunks in a row and
    never finished one is to blame itself: its score set fails.
    """
    if chunk.attempts < claims.MAX_ATTEMPTS:
        claims.put_back(chunk, chunk.epoch, reason)
    elif not killed and _never_worked(chunk):
        if claims.fail(chunk, chunk.epoch, reason):
            fail_scores(chunk.score_set_id, reason)
    elif chunk.n_items > 1:
        _split(chunk, reason)
    else:
        _give_up_item(chunk, reason)


def _never_worked(chunk: Chunk) -> bool:
    siblings = chunk.score_set.chunks
    if siblings.filter(work=Claimable.Work.DONE).exists():
        return False
    # A split chunk carries its reason along, so this counts chunks that failed before.
    return siblings.exclude(pk=chunk.pk).exclude(error="").exists()


@transaction.atomic
def _split(chunk: Chunk, reason: str) -> None:
    middle = (chunk.start + chunk.stop) // 2
    held = Chunk.objects.filter(pk=chunk.pk, work=Claimable.Work.RUNNING, epoch=chunk.epoch)
    halved = held.update(
        stop=middle,
        work=Claimable.Work.PENDING,
        epoch=F("epoch") + 1,
        attempts=0,
        owner="",
        announced_at=None,
        error=reason,
    )
    if halved:
        Chunk.objects.create(score_set=chunk.score_set, start=middle, stop=chunk.stop, error=reason)


def _give_up_item(chunk: Chunk, reason: str) -> None:
    score_set = chunk.score_set
    item = score_set.dataset.items.get(position=chunk.start)
    blank = np.full((1, score_set.dataset.n_classes), np.nan, dtype=np.float32)
    shard = score_store.write_shard(
        score_set.pk, chunk.start, [blank], (1, blank.shape[1]), epoch=chunk.epoch
    )
    with transaction.atomic():
        if claims.commit(chunk, chunk.epoch, shard=shard.name, shard_sha256=shard.sha256):
            UnscorableItem.objects.bulk_create(
                [_unscorable(score_set, item, "killed_worker", reason)], ignore_conflicts=True
            )
    finish_scores(score_set)
