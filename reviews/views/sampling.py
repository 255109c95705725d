"""The sampling ledger: planned in the browser, drawn once, frozen by the first verdict."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from audit.models import Audit, Role
from audit.views.access import find_audit
from reviews.forms import SampleForm
from reviews.ledgers import COLUMNS, ledger_rows
from reviews.models import ReviewSlot, Sample, Stratum
from reviews.revisions import find_changed_items
from reviews.services.sampling import SamplingError, plan_strata, redraw_sample

VERDICTS_AN_HOUR = 1000


@require_GET
@vary_on_headers("HX-Request")
def sampling(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the ledger, or what the numbers in the address would draw."""
    audit = find_audit(request, pk)
    sample = Sample.objects.filter(audit=audit).select_related("drawn_by").first()
    wants_another = "size" in request.GET or "again" in request.GET
    if sample and not (wants_another and not sample.is_frozen):
        return render(request, "reviews/sampling.html", ledger_context(audit, sample))
    form = SampleForm(request.GET if "size" in request.GET else None)
    context = {"audit": audit, "sample": sample, "form": form, **plan_context(audit, form)}
    is_fragment = request.htmx  # type: ignore[attr-defined]
    template = "reviews/_plan.html" if is_fragment else "reviews/sampling.html"
    return render(request, template, context)


@require_POST
def draw_sample(request: HttpRequest, pk: int) -> HttpResponse:
    """Draw the sample that people judge, in place of one that nobody has judged yet."""
    audit = find_audit(request, pk)
    form = SampleForm(request.POST)
    if form.is_valid():
        try:
            person = cast("User", request.user)
            sample = redraw_sample(audit, **form.cleaned_data, drawn_by=person)
        except SamplingError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{sample.n_items} items are drawn and ready for review.")
            return redirect("reviews:sampling", audit.pk)
    standing = Sample.objects.filter(audit=audit).first()
    context = {"audit": audit, "sample": standing, "form": form, **plan_context(audit, form)}
    return render(request, "reviews/sampling.html", context, status=422)


@require_GET
def ledger_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with every drawn item, its stratum and its inclusion probability."""
    samples = Sample.objects.open_to(request.user, at_least=Role.MAINTAINER)
    sample = get_object_or_404(samples, audit=pk)
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="ledger-{pk}.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    writer.writerows(ledger_rows(sample))
    return response


def ledger_context(audit: Audit, sample: Sample) -> dict[str, Any]:
    """Return what the page shows of a drawn sample."""
    estimates = ReviewSlot.Purpose.ESTIMATE
    is_judged = Q(items__slots__state=ReviewSlot.State.JUDGED, items__slots__purpose=estimates)
    judged = Count("items__slots", filter=is_judged)
    wanted = F("n_drawn") * F("votes_per_item")
    strata = list(sample.strata.annotate(n_judged=judged, n_wanted=wanted))
    return {
        "audit": audit,
        "sample": sample,
        "strata": strata,
        "n_judged": sum(stratum.n_judged for stratum in strata),
        "totals": total(strata),
        "changed": find_changed_items(sample),
    }


def plan_context(audit: Audit, form: SampleForm) -> dict[str, Any]:
    """Return what the form's numbers would draw; empty where they are no numbers yet."""
    if not audit.is_ready:
        return {}
    if form.is_bound:
        if not form.is_valid():
            return {}
        numbers = form.numbers
    else:
        names = ("size", "unflagged", "votes_per_item")
        numbers = {name: form.fields[name].initial for name in names}
    try:
        strata = plan_strata(audit, **numbers)
    except SamplingError as error:
        if form.is_bound:
            form.add_error(None, str(error))
        return {"refusal": str(error)}
    return {
        "strata": strata,
        "totals": total(strata),
        "stratum_votes": numbers.get("stratum_votes", {}),
    }


def total(strata: Iterable[Stratum]) -> dict[str, float]:
    """Return the sums under the table: items, drawn items, votes and hours of looking."""
    strata = list(strata)
    votes = sum(stratum.n_drawn * stratum.votes_per_item for stratum in strata)
    return {
        "population": sum(stratum.n_population for stratum in strata),
        "drawn": sum(stratum.n_drawn for stratum in strata),
        "votes": votes,
        "seconds": votes * 3600 / VERDICTS_AN_HOUR,
    }
