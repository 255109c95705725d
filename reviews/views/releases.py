"""Release cleaned labels: what a policy would change, the builds, and their files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from audit.models import Audit, Claimable, Item, Role
from audit.services.progress import engine_trouble
from audit.views.access import find_audit
from reviews.decisions import (
    Action,
    Decision,
    Snapshot,
    StandingVote,
    decide_all,
    load_rulings,
    load_votes,
)
from reviews.forms import ReleaseForm
from reviews.models import Policy, Release, Verdict
from reviews.release_files import name_annotators, release_folder
from reviews.release_formats.base import ADJUDICATOR
from reviews.release_manifest import MANIFEST
from reviews.services.releases import ReleaseRefusedError, order_release

PER_PAGE = 12
RELEASES_SHOWN = 20
CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}
ANY_BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ShownVote:
    """One vote behind a change; people go by the release's pseudonyms."""

    annotator: str
    verdict: str
    corrected: str


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One item whose label a release would change, with everything behind it."""

    item: Item
    given: str
    cleaned: str
    also: list[str]
    action: str
    votes: list[ShownVote]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a release would do, by the judgments so far."""

    policy: str
    counts: list[tuple[str, int]]
    n_judged: int
    page: Page[int]
    changes: list[ShownChange]


@require_http_methods(["GET", "POST"])
def releases(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the preview and the builds; a valid POST orders one more build."""
    audit = find_audit(request, pk)
    if request.method == "POST":
        form = ReleaseForm(request.POST)
        if form.is_valid():
            try:
                release = order_release(
                    audit, form.cleaned_data["policy"], cast("User", request.user)
                )
            except ReleaseRefusedError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, f"Release {release.number} is being built.")
            return redirect("reviews:releases", audit.pk)
        return render(request, "reviews/releases.html", _context(request, audit), status=422)
    return render(request, "reviews/releases.html", _context(request, audit))


@require_GET
def release_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll with the builds as they stand."""
    audit = find_audit(request, pk)
    return render(request, "reviews/_releases.html", _list_context(audit))


@require_GET
def release_file(request: HttpRequest, pk: int, name: str) -> FileResponse:
    """Send one file of a finished release, as a download and nothing else."""
    visible = Release.objects.open_to(request.user, at_least=Role.MAINTAINER)
    release = get_object_or_404(visible, pk=pk, work=Claimable.Work.DONE)
    # Only names that the manifest lists: the address never becomes a path.
    if name != MANIFEST and name not in release.manifest.get("files", {}):
        raise Http404("no such file in this release")
    path = release_folder(release.audit_id, release.number) / name
    if not path.is_file():
        raise Http404("this file is gone from the installation's folder")
    return FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"{release.audit.dataset.slug}-release-{release.number}-{name.replace('/', '-')}",
        content_type=CONTENT_TYPES.get(path.suffix, ANY_BYTES),
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _context(request: HttpRequest, audit: Audit) -> dict[str, Any]:
    context = _list_context(audit)
    if not audit.is_ready:
        return context
    asked = request.GET.get("policy", "")
    policy = asked if asked in Policy.values else Policy.LENIENT.value
    return context | {
        "policies": [
            (choice.value, urlencode({"policy": choice.value}), choice == policy)
            for choice in Policy
        ],
        "preview": preview_release(audit, policy, request.GET.get("page", "1")),
    }


def _list_context(audit: Audit) -> dict[str, Any]:
    builds = list(Release.objects.filter(audit=audit).select_related("created_by")[:RELEASES_SHOWN])
    unfinished = {Claimable.Work.PENDING, Claimable.Work.RUNNING}
    is_building = any(build.work in unfinished for build in builds)
    return {
        "audit": audit,
        "builds": builds,
        "is_building": is_building,
        "trouble": engine_trouble() if is_building else None,
    }


def preview_release(audit: Audit, policy: str, page: str) -> Preview | None:
    """Return what a release of the judgments so far would do, None before the first."""
    now = Snapshot.now(audit)
    votes, rulings = load_votes(audit, now.judgment), load_rulings(audit, now.adjudication)
    if not votes and not rulings:
        return None
    decisions = decide_all(audit, policy, votes, rulings)
    counts = Counter(decision.action for decision in decisions.values())
    unjudged = audit.dataset.n_items - len(decisions)
    changed = [position for position, decision in decisions.items() if decision.is_change]
    shown: Page[int] = Paginator(changed, PER_PAGE).get_page(page)
    return Preview(
        policy=policy,
        counts=[
            (action.value, counts[action] + (unjudged if action is Action.KEPT else 0))
            for action in Action
        ],
        n_judged=len(decisions),
        page=shown,
        changes=_show_changes(audit, list(shown), decisions, votes, rulings),
    )


def _show_changes(
    audit: Audit,
    positions: list[int],
    decisions: dict[int, Decision],
    votes: dict[int, list[StandingVote]],
    rulings: dict[int, StandingVote],
) -> list[ShownChange]:
    names = dict(audit.dataset.classes.values_list("index", "name"))
    people = name_annotators(votes.values())
    items = audit.dataset.items.filter(position__in=positions).order_by("position")
    return [
        ShownChange(
            item=item,
            given=_name(names, item.given_label),
            cleaned=_name(names, decisions[item.position].cleaned_label),
            also=[_name(names, label) for label in decisions[item.position].also_labels],
            action=decisions[item.position].action.value,
            votes=[
                ShownVote(who, Verdict(vote.verdict).label, _name(names, vote.corrected_label))
                for who, vote in (
                    *((people[vote.annotator], vote) for vote in votes.get(item.position, ())),
                    *((ADJUDICATOR, each) for each in (rulings.get(item.position),) if each),
                )
            ],
        )
        for item in items
    ]


def _name(names: dict[int, str], label: int | None) -> str:
    return "" if label is None else names.get(label, f"class {label}")
