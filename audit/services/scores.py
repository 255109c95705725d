"""Score sets: planned as chunks, imported whole, or combined from cross-fitted folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from numpy.typing import NDArray

from audit import score_store
from audit.models import Chunk, Claimable, Dataset, Item, ScoreSet, UnscorableItem
from audit.redaction import clean_error
from audit.services import claims
from audit.services.closing import close_score_set
from scoring.experts.base import ExpertRefused, Kind, UnknownExpertError
from scoring.experts.registry import parse_expert

BATCH = 500


class ScoresRefusedError(ValueError):
    """The scores can't be made or stored as asked; the message says what is allowed."""


class ScoresBusyError(ScoresRefusedError):
    """Somebody is storing these very scores, or was until a moment ago."""


def models_folder() -> Path:
    """Return the installation's folder of fetched and trained weights."""
    return Path(settings.LABEL_AUDIT_HOME, "models")


def request_scores(dataset: Dataset, expert: str, *, from_anywhere: bool = False) -> ScoreSet:
    """Return the expert's score set, planning it as chunks unless it exists already.

    One that failed or was cancelled goes on where it stopped. Files of a new one lie among the
    installation's models, unless somebody on the server itself asks (``from_anywhere``).
    """
    score_set = ScoreSet.objects.filter(dataset=dataset, expert=expert).first()
    if score_set is None:
        return _plan(dataset, expert, from_anywhere=from_anywhere)
    check_classes_known(score_set)
    if score_set.source != ScoreSet.Source.RUN and not score_set.is_ready:
        raise ScoresRefusedError(f"{score_set}: the import isn't finished, or was interrupted")
    if score_set.source == ScoreSet.Source.RUN:
        resume_scores(score_set)
        score_set.refresh_from_db()
    return score_set


def check_has_classes(dataset: Dataset) -> None:
    """Refuse a data set of tasks where a class per item is needed."""
    if not dataset.has_classes:
        raise ScoresRefusedError(
            f"{dataset} has tasks without classes: import outcomes (--kind correctness) and cascade"
        )


def check_independent(score_sets: Sequence[ScoreSet]) -> None:
    """Refuse two experts with the same scores: what both dispute would be what one does."""
    names: dict[str, str] = {}
    for each in score_sets:
        if each.is_ready and (twin := names.setdefault(each.sha256, each.expert)) != each.expert:
            raise ScoresRefusedError(
                f"experts_identical: {twin} and {each.expert} have the same scores, so neither "
                "can confirm the other"
            )


def check_classes_known(score_set: ScoreSet) -> None:
    """Refuse scores of whole answers where logits of classes are needed."""
    if score_set.has_outcomes_only:
        raise ScoresRefusedError(
            f"{score_set.expert} has a score and a verdict per item, no logits per class: "
            "it can take part in cascades only"
        )


def check_kind(dataset: Dataset, expert: str, takes: frozenset[Kind]) -> None:
    """Refuse an expert that takes another kind of input than the data set's items are."""
    if dataset.kind not in takes:
        known = " or ".join(Dataset.Kind(kind).label for kind in sorted(takes))
        message = f"{expert} takes {known}; {dataset} holds {dataset.get_kind_display()}"
        raise ExpertRefused("input_kind", message)


def _plan(dataset: Dataset, expert: str, *, from_anywhere: bool) -> ScoreSet:
    check_has_classes(dataset)
    try:
        root, endpoints = models_folder(), settings.ENDPOINTS
        name = parse_expert(
            expert, weights_root=root, endpoints=endpoints, is_confined=not from_anywhere
        )
        check_kind(dataset, expert, name.takes)
    except (UnknownExpertError, ExpertRefused) as error:
        # Where the models lie is the server's own affair.
        said = str(error) if from_anywhere else str(error).replace(str(root.resolve()), root.name)
        raise ScoresRefusedError(said) from error
    if dataset.kind == Dataset.Kind.IMAGE and not dataset.has_pictures:
        raise ScoresRefusedError(
            f"{dataset} has no pictures to run an expert over: import its scores instead"
        )
    with transaction.atomic():
        score_set, is_new = ScoreSet.objects.get_or_create(
            dataset=dataset, expert=expert, defaults={"source": ScoreSet.Source.RUN}
        )
        if is_new:
            starts = range(0, dataset.n_items, settings.CHUNK_ITEMS)
            Chunk.objects.bulk_create(
                [
                    Chunk(
                        score_set=score_set,
                        start=start,
                        stop=min(start + settings.CHUNK_ITEMS, dataset.n_items),
                    )
                    for start in starts
                ],
                batch_size=BATCH,
            )
    return score_set


@transaction.atomic
def resume_scores(score_set: ScoreSet) -> bool:
    """Take up a failed or cancelled score set again; finished chunks stay finished."""
    stopped = [ScoreSet.State.FAILED, ScoreSet.State.CANCELLED]
    resumed = ScoreSet.objects.filter(pk=score_set.pk, state__in=stopped).update(
        state=ScoreSet.State.SCORING,
        work=Claimable.Work.PENDING,
        attempts=0,
        announced_at=None,
        error="",
        failures=0,
    )
    if resumed:
        # Their wake-ups came to nothing while it was stopped. Left as they are, they would make
        # workers look deaf.
        waiting = score_set.chunks.filter(work=Claimable.Work.PENDING, announced_at__isnull=False)
        waiting.update(announced_at=None)
        score_set.chunks.filter(work=Claimable.Work.FAILED).update(
            work=Claimable.Work.PENDING, attempts=0, announced_at=None, error=""
        )
    return bool(resumed)


@transaction.atomic
def forget_scores(score_set: ScoreSet) -> None:
    """Have an expert score everything anew: its weights have changed, say.

    An audit that is ready stays what it was, so scores that one rests on can't be forgotten.
    """
    if score_set.source != ScoreSet.Source.RUN:
        raise ScoresRefusedError(f"{score_set}: imported scores can't be made anew")
    if ready := score_set.audits.ready().first():
        raise ScoresRefusedError(f"{score_set}: {ready} rests on these scores; rename the expert")
    ScoreSet.objects.filter(pk=score_set.pk).update(
        state=ScoreSet.State.SCORING,
        work=Claimable.Work.PENDING,
        epoch=F("epoch") + 1,
        attempts=0,
        parameters={},
        card={},
        sha256="",
        error="",
        failures=0,
    )
    # A worker with a chunk in hand loses it: its logits are the old expert's.
    score_set.chunks.update(
        work=Claimable.Work.PENDING,
        epoch=F("epoch") + 1,
        attempts=0,
        announced_at=None,
        error="",
        shard="",
        shard_sha256="",
    )
    score_set.unscorable.all().delete()


def fail_scores(score_set_id: int, reason: str) -> None:
    """Stop a score set for good, with the reason."""
    ScoreSet.objects.scoring().filter(pk=score_set_id).update(
        state=ScoreSet.State.FAILED, error=clean_error(reason), finished_at=Now()
    )


def store_scores(  # noqa: PLR0913 - what is stored with the scores, by name
    dataset: Dataset,
    expert: str,
    rows: Iterable[NDArray[Any]],
    *,
    source: ScoreSet.Source,
    dtype: str = "float32",
    n_columns: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    complete: Callable[[ScoreSet], None] = lambda _score_set: None,
) -> ScoreSet:
    """Store a whole score set at once, from blocks of logits in item order.

    Rows of quarantined items are overwritten with NaN: they take part in nothing. ``n_columns``
    is the number of classes unless the scores are of another kind, named in ``parameters``.
    ``complete`` is called in the transaction that makes them ready; what it raises undoes it all.
    """
    score_set = _reserve(dataset, expert, source)
    epoch = claims.claim(score_set)
    if epoch is None:
        raise ScoresBusyError(f"{dataset} is being given scores of {expert!r} just now")
    score_set.parameters, score_set.card = dict(parameters or {}), dict(card or {})
    score_set.save(update_fields=["parameters", "card"])
    shape = (dataset.n_items, dataset.n_classes if n_columns is None else n_columns)
    quarantined = dataset.items.quarantined().order_by("position")
    positions = np.array(quarantined.values_list("position", flat=True), dtype=np.int64)
    try:
        with claims.heartbeat(score_set, epoch):
            shard = score_store.write_shard(
                score_set.pk, 0, _blank(rows, positions), shape, dtype=dtype, epoch=epoch
            )
            _, sha256 = score_store.check_shards(score_set.pk, [shard])
            with transaction.atomic():
                closed = close_score_set(score_set, epoch, [shard], sha256)
                if closed:
                    score_set.refresh_from_db()
                    complete(score_set)
    except BaseException:
        # All or nothing: a refused or interrupted import leaves no trace.
        score_store.remove_scores(score_set.pk)
        _give_up(score_set, epoch)
        raise
    if not closed:
        raise ScoresRefusedError(f"{dataset} was given scores of {expert!r} by somebody else")
    return score_set


def _give_up(score_set: ScoreSet, epoch: int) -> None:
    """Remove a score set that got no scores; one that an audit waits for stays, to be stored."""
    if not score_set.audits.exists():
        score_set.delete()
        return
    reason = "the import was interrupted: import the scores again"
    claims.put_back(score_set, epoch, reason)
    ScoreSet.objects.scoring().filter(pk=score_set.pk).update(
        state=ScoreSet.State.FAILED, error=reason
    )


def _reserve(dataset: Dataset, expert: str, source: ScoreSet.Source) -> ScoreSet:
    """Return a new, empty score set, or the one that an import left behind when it was killed."""
    score_set, is_new = ScoreSet.objects.get_or_create(
        dataset=dataset, expert=expert, defaults={"source": source}
    )
    if not is_new:
        unfinished = ScoreSet.objects.filter(pk=score_set.pk, source=source).unfinished()
        if source == ScoreSet.Source.RUN or not unfinished.exists():
            raise ScoresRefusedError(f"{dataset} has scores of {expert!r} already")
        for left_behind in claims.abandoned(unfinished):
            claims.put_back(left_behind, left_behind.epoch, "the import was interrupted")
        unfinished.update(state=ScoreSet.State.SCORING)
        score_set.refresh_from_db()
    return score_set


def _blank(rows: Iterable[NDArray[Any]], quarantined: NDArray[np.int64]) -> Iterable[NDArray[Any]]:
    start = 0
    for block in rows:
        low, high = np.searchsorted(quarantined, [start, start + len(block)])
        if low == high:
            yield block
        else:
            blanked = np.array(block)
            blanked[quarantined[low:high] - start] = np.nan
            yield blanked
        start += len(block)


def combine_folds(
    dataset: Dataset, expert: str, folds: list[str], held_out: Mapping[str, int]
) -> ScoreSet:
    """Store one out-of-sample score set from experts trained on folds of this very data set.

    `held_out` says for every item key which of `folds` (by place) never saw the item.
    """
    score_sets = []
    for fold in folds:
        found = ScoreSet.objects.filter(dataset=dataset, expert=fold).first()
        if found is None or not found.is_ready:
            raise ScoresRefusedError(f"{dataset} has no finished scores of {fold!r}")
        check_classes_known(found)
        score_sets.append(found)
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    missing = [key for key in keys if key not in held_out]
    if missing:
        raise ScoresRefusedError(f"{len(missing)} items have no fold, first: {missing[0]!r}")
    fold_of = np.array([held_out[key] for key in keys])
    if fold_of.min() < 0 or fold_of.max() >= len(folds):
        raise ScoresRefusedError(f"folds are numbered 0 to {len(folds) - 1}")
    matrices = [score_store.open_scores(each.pk) for each in score_sets]

    def rows() -> Iterable[NDArray[Any]]:
        for start in range(0, dataset.n_items, score_store.ROWS_PER_READ):
            stop = min(start + score_store.ROWS_PER_READ, dataset.n_items)
            blocks = np.stack([np.asarray(matrix[start:stop]) for matrix in matrices])
            yield blocks[fold_of[start:stop], np.arange(stop - start)]

    score_set = store_scores(
        dataset,
        expert,
        rows(),
        source=ScoreSet.Source.COMBINED,
        parameters={
            "folds": [{"expert": each.expert, "sha256": each.sha256} for each in score_sets]
        },
        card={"folds": [each.card for each in score_sets]},
    )
    reasons = UnscorableItem.objects.filter(score_set__in=score_sets)
    UnscorableItem.objects.bulk_create(
        [
            UnscorableItem(score_set=score_set, item=item, code=code, detail=detail)
            for item, code, detail in _reasons_of_held_out(reasons, score_sets, fold_of)
        ]
    )
    return score_set


def _reasons_of_held_out(
    reasons: Any, score_sets: list[ScoreSet], fold_of: NDArray[np.int_]
) -> Iterable[tuple[Item, str, str]]:
    place = {score_set.pk: number for number, score_set in enumerate(score_sets)}
    for reason in reasons.select_related("item"):
        if fold_of[reason.item.position] == place[reason.score_set_id]:
            yield reason.item, reason.code, reason.detail
