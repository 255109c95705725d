"""The second pass: experts on cleaned labels beside the given ones, as a worker measured them."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from audit.models import Audit, Measurement
from audit.services.progress import engine_trouble
from audit.views.access import find_audit
from reviews.cascade_forms import SecondPassForm, write_labels
from reviews.services.measuring import order_second_pass

KIND = Measurement.Kind.SECOND_PASS


@require_http_methods(["GET", "POST"])
def second_pass(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the newest second pass; a valid POST orders another one."""
    audit = find_audit(request, pk)
    context = _context(audit)
    if request.method == "POST":
        form = SecondPassForm(request.POST, audit=audit)
        if form.is_valid():
            order_second_pass(audit, form.order, cast("User", request.user))
            return redirect("reviews:second_pass", audit.pk)
        return render(request, "reviews/second_pass.html", context | {"form": form}, status=422)
    shown = context["shown"]
    form = SecondPassForm(audit=audit, initial=shown.order if shown else None)
    return render(request, "reviews/second_pass.html", context | {"form": form})


@require_GET
def second_pass_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll; once the figures are there, have the page show them."""
    context = _context(find_audit(request, pk))
    response = render(request, "reviews/_second_pass_progress.html", context)
    if context["newest"] is not None and context["newest"].is_ready:
        response["HX-Refresh"] = "true"
    return response


@require_GET
def second_pass_data(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the newest second pass as one JSON document."""
    shown = _context(find_audit(request, pk))["shown"]
    if shown is None:
        raise Http404("no second pass is finished")
    return JsonResponse(shown.document)


def _context(audit: Audit) -> dict[str, Any]:
    rows = audit.measurements.filter(kind=KIND).order_by("-number")
    newest = shown = rows.first()
    if newest is not None and not newest.is_ready:
        shown = rows.ready().first()
    is_under_way = newest is not None and newest.is_under_way
    return {
        "audit": audit,
        "newest": newest,
        "shown": shown,
        "found": shown.document if shown else None,
        "labels_name": write_labels(shown.document["settings"]["labels"]) if shown else "",
        "trouble": engine_trouble() if is_under_way else None,
    }
