"""How far an audit's experts are: what the progress page and the commands show."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, Count, F, Max, Min, Q, Sum, When

from audit.models import Audit, Chunk, Claimable, ScoreSet, Worker

RECENT_CHUNKS = 12


@dataclass(frozen=True, slots=True)
class ExpertProgress:
    """One expert's scoring: counts are items, rate is items per second."""

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
    rate = None if score_set.is_ready else _recent_rate(score_set)
    running = score_set.chunks.filter(work=Claimable.Work.RUNNING)
    owners = running.values_list("owner", flat=True).distinct().order_by("owner")
    last = score_set.chunks.exclude(error="").order_by("-pk").values_list("error", flat=True)
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
        workers=tuple(owners),
        caveat=score_set.caveat,
        error=score_set.error or (last.first() or "" if not score_set.is_ready else ""),
    )


def _recent_rate(score_set: ScoreSet) -> float | None:
    """Items per second over the chunks that finished last."""
    recent = (
        Chunk.objects.filter(score_set=score_set, work=Claimable.Work.DONE)
        .order_by("-finished_at")
        .values_list("pk", flat=True)[:RECENT_CHUNKS]
    )
    span = Chunk.objects.filter(pk__in=list(recent)).aggregate(
        items=Sum(F("stop") - F("start")), since=Min("claimed_at"), until=Max("finished_at")
    )
    if not span["items"] or span["until"] is None:
        return None
    seconds = (span["until"] - span["since"]).total_seconds()
    return span["items"] / seconds if seconds > 0 else None


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
