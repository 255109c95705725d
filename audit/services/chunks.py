"""One chunk: claim, score, write the shard, commit. Runs in workers, never in the web process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from audit import score_store
from audit.models import Chunk, ScoreSet, UnscorableItem
from audit.querysets import ChunkQuerySet
from audit.redaction import clean_error
from audit.services import claims
from audit.services.batch_sizes import settle_batch_size
from audit.services.closing import finish_scores
from audit.services.endpoints import endpoints_for
from audit.services.inputs import ItemRow, prepare_inputs, read_items
from audit.services.scores import check_kind, fail_scores, models_folder
from scoring.experts.base import (
    BoundedExpert,
    BoundedPrediction,
    Expert,
    ExpertRefused,
    InputProblem,
    UnknownExpertError,
    UnscorableInputsError,
    fill_absent_choices,
)
from scoring.experts.registry import load_expert

logger = logging.getLogger(__name__)
# Closing reads all shards. What takes longer than a moment is left to the default queue, so that
# no device waits for it.
CLOSE_AT_ONCE_BYTES = 1 << 26
# So long a wake-up has its process go on with chunks that have none. Urgent work waits no longer.
ROW_SECONDS = 1.0
ABREAST = 8


class OtherExpertError(RuntimeError):
    """The expert of this name isn't, on this machine, the one that scored the first chunks."""


@lru_cache(maxsize=2)
def loaded_expert(name: str) -> Expert:
    """Return the expert, kept in this process's memory between chunks."""
    return load_expert(name, weights_root=models_folder(), endpoints=endpoints_for(name))


def make_way_for_urgent(chunk_id: int) -> int:
    """Return the chunk to score instead: one of an urgent audit, if any waits.

    The wake-up of the chunk that steps back is used up, so it has to be announced anew.
    """
    urgent = _urgent_chunks()
    first = urgent.in_order().values_list("pk", flat=True).first() if urgent is not None else None
    if urgent is None or first is None or urgent.filter(pk=chunk_id).exists():
        return chunk_id
    Chunk.objects.pending().filter(pk=chunk_id).update(announced_at=None)
    return first


def _urgent_chunks() -> ChunkQuerySet | None:
    """Return the pending chunks of urgent score sets, None where there is no such set.

    Asked before every chunk: a join would look at all that waits.
    """
    urgent = ScoreSet.objects.scoring().filter(is_urgent=True)
    numbers = list(urgent.values_list("pk", flat=True))
    return Chunk.objects.pending().filter(score_set__in=numbers) if numbers else None


def find_pending(chunk_id: int) -> Chunk | None:
    """Return a chunk that may be scored now, with all that is needed for it."""
    pending = Chunk.objects.pending().select_related("score_set__dataset")
    return pending.filter(pk=chunk_id).first()


def others_like(chunk: Chunk) -> Iterator[Chunk]:
    """Yield further chunks of the same score set, no longer than this one, for ROW_SECONDS.

    Only what nobody has announced or tried: the rest has wake-ups, and time limits, of its own.
    """
    until = time.monotonic() + ROW_SECONDS
    score_set = chunk.score_set
    fresh = Chunk.objects.pending().filter(score_set=score_set, announced_at=None, epoch=0)
    in_order = fresh.order_by("epoch", "start").only("score_set_id", "start", "stop", "epoch")
    while time.monotonic() < until and not _somebody_hurries(score_set):
        upcoming = list(in_order[:ABREAST])
        if not upcoming:
            close_if_small(score_set)
            return
        # Processes side by side begin at different places, or all would want the same one.
        other = upcoming[os.getpid() % len(upcoming)]
        if other.n_items > chunk.n_items:
            return
        other.score_set = score_set
        yield other


def _somebody_hurries(score_set: ScoreSet) -> bool:
    urgent = _urgent_chunks()
    return urgent is not None and urgent.exclude(score_set=score_set).exists()


def score_chunk(chunk_id: int) -> bool:
    """Score one pending chunk and, if it was the last, close its score set.

    False when there was nothing to do or the claim was lost.
    """
    chunk = find_pending(chunk_id)
    if chunk is None or not score_pending(chunk):
        return False
    close_if_small(chunk.score_set)
    return True


def close_if_small(score_set: ScoreSet) -> None:
    """Close a score set whose chunks are all done, unless reading it takes a while."""
    dataset = score_set.dataset
    if 4 * dataset.n_classes * dataset.n_items <= CLOSE_AT_ONCE_BYTES:
        finish_scores(score_set.pk)


def score_pending(chunk: Chunk) -> bool:
    """Score a chunk that was pending a moment ago; False when the claim wasn't got, or was lost.

    Raises whatever the expert raises; `attempts.give_up_attempt` then decides what comes next.
    """
    epoch = claims.claim(chunk)
    if epoch is None:
        return False
    score_set = chunk.score_set
    # From here on: bringing a large model into memory may take longer than a claim lasts.
    with claims.heartbeat(chunk, epoch) as lost:
        try:
            expert = loaded_expert(score_set.expert)
            _check_expert(score_set, expert)
            settle_batch_size(score_set, expert)
            items = read_items(score_set.dataset, chunk.start, chunk.stop)
            predicted = predict_items(expert, score_set, items)
        except (ExpertRefused, UnknownExpertError) as error:
            # No item's fault: whoever puts the expert right resumes.
            claims.fail(chunk, epoch, str(error))
            fail_scores(score_set.pk, str(error))
            return False
        if lost.is_set():
            logger.warning("chunk %s: claim lost, nothing written", chunk.pk)
            return False
        try:
            shard = score_store.write_shard(
                score_set.pk, chunk.start, [predicted.logits], predicted.logits.shape, epoch=epoch
            )
        except OSError as error:
            reason = f"the scores can't be written: {error.strerror or error}"
            raise score_store.ScoreStoreError(reason) from error
    return _commit(chunk, epoch, shard, predicted)


def _commit(chunk: Chunk, epoch: int, shard: score_store.Shard, predicted: Predicted) -> bool:
    written = {"shard": shard.name, "shard_sha256": shard.sha256, "bounded": predicted.bounded}
    # One statement needs no transaction around it.
    with transaction.atomic() if predicted.unscorable else nullcontext():
        if not claims.commit(chunk, epoch, **written):
            logger.warning("chunk %s: claim lost, result discarded", chunk.pk)
            score_store.remove_shard(chunk.score_set_id, shard)
            return False
        UnscorableItem.objects.bulk_create(predicted.unscorable, ignore_conflicts=True)
    return True


def _check_expert(score_set: ScoreSet, expert: Expert) -> None:
    check_kind(score_set.dataset, score_set.expert, expert.takes)
    expected, got = score_set.dataset.n_classes, expert.card.n_classes
    if got not in {None, expected}:
        raise ExpertRefused(
            "class_count",
            f"{score_set.expert} knows {got} classes, {score_set.dataset} has {expected}",
        )
    card = expert.card.to_json()
    if not score_set.card and ScoreSet.objects.filter(pk=score_set.pk, card={}).update(card=card):
        score_set.card = card
    elif not score_set.card:
        score_set.refresh_from_db(fields=["card"])
    if score_set.card["fingerprint"] != card["fingerprint"]:
        raise OtherExpertError(
            f"version_mismatch: on {claims.owner_name()} {score_set.expert} has other weights or "
            "prepares its input otherwise than where it scored the first chunks"
        )


@dataclass(frozen=True, slots=True)
class Predicted:
    """What an expert makes of items: logits (n_items, n_classes), and where they fall short.

    ``unscorable``: the items that have none, with the reason; ``bounded``: the positions of those
    with a logit that is only an upper bound.
    """

    logits: NDArray[np.float32]
    unscorable: list[UnscorableItem]
    bounded: list[int]


def predict_items(expert: Expert, score_set: ScoreSet, items: Sequence[ItemRow]) -> Predicted:
    """Return what the expert makes of the items.

    A row is NaN where the item is quarantined, its image is no longer what was imported, the
    expert can't score it, or returned something that isn't finite.
    """
    n_classes = score_set.dataset.n_classes
    logits = np.full((len(items), n_classes), np.nan, dtype=np.float32)
    inputs = prepare_inputs(score_set.dataset, items)
    problems = inputs.problems
    bounded: list[int] = []
    if inputs.values:
        found = _predict(expert, inputs.values)
        _check_shape(score_set, found.logits.shape, len(inputs.values))
        # Pictures have no choices of their own: they are asked about every class.
        n_choices = [len(items[place].choices) or n_classes for place in inputs.places]
        logits[inputs.places] = fill_absent_choices(found.logits, n_classes, n_choices)
        # A picture that couldn't be opened keeps that reason.
        refused = {inputs.places[place]: each for place, each in found.problems.items()}
        problems = refused | problems
        places = np.array(inputs.places)[found.is_bounded]
        bounded = [items[place].position for place in places.tolist()]
    is_broken = ~np.isfinite(logits).all(axis=1)
    for place in sorted({*problems, *np.intersect1d(np.flatnonzero(is_broken), inputs.places)}):
        logits[place] = np.nan
        problems.setdefault(place, InputProblem("nonfinite", "the expert returned NaN or infinity"))
    unscorable = [
        UnscorableItem(
            score_set=score_set,
            item_id=items[place].pk,
            code=problem.code,
            detail=clean_error(problem.detail),
        )
        for place, problem in sorted(problems.items())
    ]
    return Predicted(logits, unscorable, bounded)


def _check_shape(score_set: ScoreSet, shape: tuple[int, ...], n_inputs: int) -> None:
    """Refuse an expert whose answer can't be meant for these items: no other item would do."""
    n_classes = score_set.dataset.n_classes
    if len(shape) != 2 or shape[0] != n_inputs or shape[1] > n_classes:
        message = (
            f"{score_set.expert} answered {n_inputs} items with an array of shape {shape}, which "
            f"is not one row per item and at most {n_classes} columns"
        )
        raise ExpertRefused("shape", message)


def _predict(expert: Expert, inputs: Sequence[Any]) -> BoundedPrediction:
    if isinstance(expert, BoundedExpert):
        return expert.predict_bounded(inputs)
    exact = np.zeros(len(inputs), dtype=np.bool_)
    try:
        return BoundedPrediction(expert.predict(inputs), exact, {})
    except UnscorableInputsError as refusal:
        return BoundedPrediction(refusal.logits, exact, refusal.problems)
