"""How far an audit's experts are: what the progress page and the commands show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, Count, F, Q, Sum, When
from django.db.models.functions import Now
from django.utils import timezone

from audit.models import Audit, Claimable, ScoreSet, Worker

RECENT_CHUNKS = 12
# Nobody has claimed or finished a chunk for so long: whatever came before says nothing of now.
PAUSE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class ExpertProgress:
    """One expert's scoring: counts are items, rate is items per second.

    It rests while what it needs is away: a full disk, a model server, an object store.
    """

    name: str
    state: str
    source: str
    done: int
    total: int
    rate: float | None
    eta_seconds: float | None
    chunks_done: int
    chunks_total: int
    workers: tuple[str, ...]
    error: str
    n_tried_again: int
    last_error: str
    is_resting: bool
    caveat: str


def expert_progress(audit: Audit) -> list[ExpertProgress]:
    """Return the progress of every expert of an audit, in order."""
    experts = audit.experts.select_related("score_set").order_by("order")
    return [score_set_progress(each.score_set, audit.dataset.n_items) for each in experts]


def score_set_progress(score_set: ScoreSet, n_items: int) -> ExpertProgress:
    """Return the progress of one score set."""
    done = Q(work=Claimable.Work.DONE)
    size = F("stop") - F("start")
    totals = score_set.chunks.aggregate(
        items=Sum(Case(When(done, then=size), default=0)),
        chunks=Count("pk"),
        chunks_done=Count("pk", filter=done),
    )
    items = n_items if score_set.is_ready else totals["items"] or 0
    running = score_set.chunks.filter(work=Claimable.Work.RUNNING)
    owners = tuple(running.values_list("owner", flat=True).distinct().order_by("owner"))
    rate = None if score_set.is_ready else _recent_rate(score_set, is_running=bool(owners))
    stumbled = score_set.chunks.unfinished().exclude(error="").order_by("-pk")
    errors = [] if score_set.is_ready else list(stumbled.values_list("error", flat=True))
    return ExpertProgress(
        name=score_set.expert,
        state=score_set.state,
        source=score_set.source,
        done=items,
        total=n_items,
        rate=rate,
        eta_seconds=(n_items - items) / rate if rate else None,
        chunks_done=totals["chunks_done"],
        chunks_total=totals["chunks"],
        workers=owners,
        caveat=score_set.caveat,
        error=score_set.error,
        n_tried_again=len(errors),
        last_error=errors[0] if errors else "",
        is_resting=not score_set.is_ready and not owners and _is_resting(score_set),
    )


def _is_resting(score_set: ScoreSet) -> bool:
    resting = Q(work=Claimable.Work.PENDING, not_before__gt=Now())
    closing = ScoreSet.objects.filter(resting, pk=score_set.pk)
    return score_set.chunks.filter(resting).exists() or closing.exists()


def _recent_rate(score_set: ScoreSet, *, is_running: bool) -> float | None:
    """Items per second over the chunks that finished last, since the last time nobody worked.

    None where nobody works now: its past says nothing about the time that is left.
    """
    done = score_set.chunks.filter(work=Claimable.Work.DONE).order_by("-finished_at")
    recent = done.values_list("claimed_at", "finished_at", "start", "stop")[:RECENT_CHUNKS]
    items, since, until = 0, None, None
    for claimed_at, finished_at, start, stop in recent:
        if claimed_at is None or finished_at is None:
            continue
        if since is not None and since - finished_at > PAUSE:
            break
        items += stop - start
        since = min(since or claimed_at, claimed_at)
        until = max(until or finished_at, finished_at)
    if since is None or until is None or until <= since:
        return None
    if not is_running and timezone.now() - until > PAUSE:
        return None
    return items / (until - since).total_seconds()


@dataclass(frozen=True, slots=True)
class EngineTrouble:
    """Why nothing moves: no worker at all, or workers that take no work, each with its reason."""

    workers: tuple[Worker, ...]

    @property
    def is_outdated(self) -> bool:
        return any(worker.trouble.startswith("version_mismatch") for worker in self.workers)


def engine_trouble() -> EngineTrouble | None:
    """Return why nobody takes work, None if somebody does."""
    if Worker.objects.listening().exists():
        return None
    return EngineTrouble(tuple(Worker.objects.alive().order_by("name")))
