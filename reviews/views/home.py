"""The start page: what waits for me, what is under way, what needs somebody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import Case, Count, Exists, F, OuterRef, QuerySet, Sum, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from audit.models import Audit, AuditExpert, Chunk, Claimable, Dataset, Membership, Role
from audit.services.progress import engine_trouble
from reviews.disputes import count_disputes
from reviews.models import ReviewSlot, Sample

SHOWN = 10
OPEN, LEASED, JUDGED = ReviewSlot.State


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """One audit's sample as one annotator sees it: items and votes."""

    audit: Audit
    n_waiting: int
    n_mine: int
    n_judged: int
    n_votes: int


@dataclass(frozen=True, slots=True)
class RunningAudit:
    """An audit under way, with the items scored so far over all its experts."""

    audit: Audit
    n_done: int
    n_total: int

    @property
    def share(self) -> float:
        """How much of the scoring is done, between 0 and 1."""
        return self.n_done / self.n_total if self.n_total else 0.0


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the review queues to everybody, and the audits to those who run them."""
    user = cast("User", request.user)
    memberships = Membership.objects.filter(user=user).select_related("project")
    roles = {membership.project: membership.role for membership in memberships}
    queues = find_review_queues(user)
    context: dict[str, Any] = {
        "roles": list(roles.values()),
        "open_queues": [queue for queue in queues if queue.n_waiting],
        "finished_queues": [queue for queue in queues if not queue.n_waiting],
        "runs_audits": max(roles.values(), default=0) >= Role.MAINTAINER,
        "administered": sorted(
            (project for project, role in roles.items() if role >= Role.ADMIN),
            key=lambda project: project.name,
        ),
    }
    if context["runs_audits"]:
        context |= _audits_context(user)
    return render(request, "reviews/home.html", context)


@require_GET
def home_progress(request: HttpRequest) -> HttpResponse:
    """Answer the start page's poll: the audits under way, or "load the page anew"."""
    context = _running_context(cast("User", request.user))
    if not context["running"]:
        return HttpResponseClientRefresh()
    return render(request, "reviews/_running.html", context)


def find_review_queues(user: User) -> list[ReviewQueue]:
    """Return every sample the person may judge, the one with the most open items first."""
    samples = {
        sample.pk: sample
        for sample in Sample.objects.open_to(user).select_related("audit__dataset__project")
    }
    slots = ReviewSlot.objects.filter(sample__in=list(samples)).order_by()
    mine = slots.filter(annotator=user)
    # Within indexes alone, items by their place in the sample: reading rows takes the longest.
    counted = slots.values_list("sample", "state").annotate(Count("pk"), _n_items())
    n_votes, n_items = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for sample, state, votes, items in counted:
        n_votes[sample, state], n_items[sample, state] = votes, items
    of_mine = mine.values_list("sample", "state").annotate(Count("pk"))
    n_mine = Counter({(sample, state): votes for sample, state, votes in of_mine})
    also_open = ReviewSlot.objects.filter(sampled_item=OuterRef("sampled_item"), state=OPEN)
    beside = mine.filter(Exists(also_open)).values_list("sample").annotate(_n_items())
    n_beside = Counter(dict(beside))
    queues = [
        ReviewQueue(
            audit=sample.audit,
            n_waiting=n_items[pk, OPEN] - n_beside[pk] + n_mine[pk, LEASED],
            n_mine=n_mine[pk, JUDGED],
            n_judged=n_votes[pk, JUDGED],
            n_votes=sum(n_votes[pk, state] for state in ReviewSlot.State),
        )
        for pk, sample in samples.items()
    ]
    shown = [queue for queue in queues if queue.n_votes]
    return sorted(shown, key=lambda queue: (-queue.n_waiting, -queue.audit.pk))


def _n_items() -> Count:
    return Count("order", distinct=True)


def _audits_context(user: User) -> dict[str, Any]:
    audits = Audit.objects.open_to(user, at_least=Role.MAINTAINER).select_related("dataset")
    ready = audits.ready().order_by("-pk")
    datasets = Dataset.objects.open_to(user, at_least=Role.MAINTAINER)
    return {
        **_running_context(user),
        "failed_audits": audits.filter(state=Audit.State.FAILED).order_by("-pk")[:SHOWN],
        "failed_chunks": _failed_chunks(audits),
        "disputed_audits": _disputed_audits(audits, user),
        "unsampled_audits": ready.filter(sample=None)[:SHOWN],
        "ready_audits": ready.select_related("sample")[:SHOWN],
        "has_datasets": datasets.exists(),
        "unaudited_datasets": datasets.filter(audits=None).order_by("slug")[:SHOWN],
    }


def _disputed_audits(audits: QuerySet[Audit], user: User) -> list[tuple[Audit, int]]:
    """Return the audits with items that wait for an adjudicator, and how many do."""
    waiting = count_disputes(user)
    return [(audit, waiting[audit.pk]) for audit in audits.filter(pk__in=waiting).order_by("-pk")]


def _failed_chunks(audits: QuerySet[Audit]) -> list[tuple[int, str, int]]:
    """Return audit, expert and number of the chunks under way that nobody could score."""
    chunks = Chunk.objects.filter(
        work=Claimable.Work.FAILED, score_set__audits__in=audits.filter(state=Audit.State.SCORING)
    )
    named = chunks.order_by("score_set__audits").values_list(
        "score_set__audits", "score_set__expert"
    )
    return list(named.annotate(Count("pk", distinct=True))[:SHOWN])


def _running_context(user: User) -> dict[str, Any]:
    audits = Audit.objects.open_to(user, at_least=Role.MAINTAINER).under_way()
    scored = _scored_items(audits)
    running = []
    for audit in audits.select_related("dataset").order_by("-pk"):
        n_items, parts = audit.dataset.n_items, scored.get(audit.pk, [])
        n_done = sum(n_items if part is None else part for part in parts)
        running.append(RunningAudit(audit, n_done, n_items * len(parts)))
    return {"running": running, "trouble": engine_trouble() if running else None}


def _scored_items(audits: QuerySet[Audit]) -> dict[int, list[int | None]]:
    """Return per audit, for each of its experts, the items scored; None = all of them."""
    done = When(
        score_set__chunks__work=Claimable.Work.DONE,
        then=F("score_set__chunks__stop") - F("score_set__chunks__start"),
    )
    experts = (
        AuditExpert.objects.filter(audit__in=audits)
        .order_by()
        .values_list("audit", "score_set__state", "pk")
        .annotate(n_scored=Sum(Case(done, default=0)))
    )
    scored: dict[int, list[int | None]] = {}
    for audit, state, _, items in experts:
        scored.setdefault(audit, []).append(None if state == "ready" else items or 0)
    return scored
