"""The files of a release, and what differs between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit.class_titles import tell_apart
from audit.models import Audit, Claimable, Item, Role
from audit.views.access import find_audit
from reviews.downloads import send_archive, send_file
from reviews.models import Release
from reviews.release_diffs import Difference, Moment, count_moves, find_differences
from reviews.services.releases import policy_of, snapshot_of

PER_PAGE = 24


@dataclass(frozen=True, slots=True)
class ShownDifference:
    """One item that leaves two releases with other labels, by its classes' names."""

    item: Item
    before: list[str]
    after: list[str]
    old_action: str
    new_action: str


@require_safe
def release_file(request: HttpRequest, pk: int, name: str) -> HttpResponseBase:
    """Send one file of a finished release, as a download and nothing else."""
    release = _find_finished(request, pk)
    return send_file(request, release, name)


@require_safe
def release_archive(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Send all files of a finished release as one tar archive."""
    release = _find_finished(request, pk)
    return send_archive(request, release)


def _find_finished(request: HttpRequest, pk: int) -> Release:
    visible = Release.objects.open_to(request.user, at_least=Role.MAINTAINER)
    finished = visible.select_related("audit__dataset").filter(work=Claimable.Work.DONE)
    return get_object_or_404(finished, pk=pk)


@require_safe
def release_diff(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the items that two releases of an audit (``before``, ``after``) give other labels."""
    audit = find_audit(request, pk)
    before, after = (
        _find_release(audit, request.GET.get(name, "")) for name in ("before", "after")
    )
    moments = [Moment(policy_of(each), snapshot_of(each)) for each in (before, after)]
    differences = find_differences(audit, *moments)
    page = Paginator(differences, PER_PAGE).get_page(request.GET.get("page", "1"))
    context: dict[str, Any] = {
        "audit": audit,
        "before": before,
        "after": after,
        "releases": [before, after],
        "pages_query": urlencode({"before": before.number, "after": after.number}),
        "n_items": len(differences),
        "moves": count_moves(differences),
        "page": page,
        "differences": _show(audit, page),
    }
    return render(request, "reviews/release_diff.html", context)


def _find_release(audit: Audit, number: str) -> Release:
    releases = Release.objects.filter(audit=audit)
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    return get_object_or_404(releases, number=int(number) if is_number else 0)


def _show(audit: Audit, page: Page[Difference]) -> list[ShownDifference]:
    names = tell_apart(audit.dataset.classes.order_by("index"))
    found = {each.position: each for each in page}
    shown = []
    for item in audit.dataset.items.filter(position__in=found).order_by("position"):
        difference = found[item.position]
        before, after = ([names[label] for label in labels] for labels in difference.labels())
        shown.append(ShownDifference(item, before, after, *difference.actions))
    return shown
