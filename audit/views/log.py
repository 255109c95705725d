"""The log of a project: who did what, the newest first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from audit.models import LogEntry
from audit.views.access import find_admins_project

PER_PAGE = 100


@require_GET
@never_cache
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was done in a project, and its members' log-ins; admins only."""
    project = find_admins_project(request, pk)
    entries = LogEntry.objects.about(project)
    before = request.GET.get("before", "")
    is_later_page = before.isascii() and before.isdecimal() and len(before) < 10
    if is_later_page:
        entries = entries.filter(number__lt=int(before))
    shown = list(entries.order_by("-number")[: PER_PAGE + 1])
    context = {
        "project": project,
        "is_later_page": is_later_page,
        "entries": shown[:PER_PAGE],
        "older": shown[PER_PAGE - 1].number if len(shown) > PER_PAGE else None,
    }
    return render(request, "audit/log.html", context)
