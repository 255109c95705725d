"""What happened when in one audit: scoring by expert, closing, calibration, and who did it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q, Sum

from audit.models import Audit, AuditExpert, Claimable, ScoreSet

WORKERS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done, or is being done; times are None where it hasn't come to that.

    ``pieces``: how many chunks are done, of how many. ``repeats``: how often one was begun anew,
    because its worker died, the attempt failed, or what it needed was away. ``workers``: host and
    process with the number of pieces each did, the busiest first.
    """

    label: str
    expert: str
    began: datetime | None
    ended: datetime | None
    pieces: tuple[int, int] | None
    repeats: int
    workers: tuple[tuple[str, int], ...]
    n_workers: int
    said: str

    @property
    def took(self) -> timedelta | None:
        return self.ended - self.began if self.began and self.ended else None


def timeline(audit: Audit) -> list[Step]:
    """Return an audit's steps in the order in which they come."""
    experts = audit.experts.select_related("score_set").order_by("order")
    steps = [step for expert in experts for step in _expert_steps(expert, audit)]
    return [*steps, _calibration(audit)]


def _expert_steps(expert: AuditExpert, audit: Audit) -> list[Step]:
    score_set = expert.score_set
    if score_set.source != ScoreSet.Source.RUN:
        came = score_set.created_at
        label = str(score_set.get_source_display())
        return [Step(label, expert.name, came, came, None, 0, (), 0, score_set.error)]
    scoring = _scoring(expert, audit)
    return [scoring, _single("closing", expert.name, score_set)]


def _scoring(expert: AuditExpert, audit: Audit) -> Step:
    chunks = expert.score_set.chunks.all()
    done = Q(work=Claimable.Work.DONE)
    facts = chunks.aggregate(
        began=Min("claimed_at"),
        ended=Max("finished_at"),
        total=Count("pk"),
        done=Count("pk", filter=done),
        begun=Count("pk", filter=Q(epoch__gt=0)),
        claims=Sum("epoch"),
    )
    owners = chunks.filter(done).exclude(owner="").values_list("owner").annotate(n=Count("pk"))
    workers = tuple(owners.order_by("-n", "owner"))
    said = ""
    if facts["began"] and facts["began"] < audit.created_at:
        said = "scored before, for another audit"
    is_over = facts["total"] == facts["done"]
    return Step(
        label="scoring",
        expert=expert.name,
        began=facts["began"],
        ended=facts["ended"] if is_over else None,
        pieces=(facts["done"], facts["total"]),
        repeats=(facts["claims"] or 0) - facts["begun"],
        workers=workers[:WORKERS_SHOWN],
        n_workers=len(workers),
        said=said,
    )


def _single(label: str, expert: str, row: Claimable) -> Step:
    """Return the step of work that one worker does whole."""
    is_done = row.work == Claimable.Work.DONE
    workers = ((row.owner, 1),) if row.owner else ()
    return Step(
        label=label,
        expert=expert,
        began=row.claimed_at,
        ended=row.finished_at if is_done else None,
        pieces=None,
        repeats=max(row.epoch - 1, 0),
        workers=workers,
        n_workers=len(workers),
        said=row.error,
    )


def _calibration(audit: Audit) -> Step:
    return _single("calibrating and flagging", "", audit)
