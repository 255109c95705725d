"""How many more verdicts an interval of the wanted width takes, and in which strata."""

from __future__ import annotations

import csv
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.models import Audit
from audit.views.access import find_audit
from reviews.comparison_page import read_wanted
from reviews.forms import PlanForm
from reviews.judge_words import JUDGE
from reviews.models import Sample
from reviews.plans import PlanRefusedError, plan_review
from reviews.truths import JUDGMENTS, UnknownTruthError

PLAN_COLUMNS = ("stratum", "items", "judged", "more")


@require_GET
def curves_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a plan as a part of the page that compares methods."""
    audit = find_audit(request, pk)
    form, plan = _make_plan(request, audit)
    context = {
        "audit": audit,
        "form": form,
        "plan": plan,
        "query": request.GET.urlencode(),
        "sample": Sample.objects.filter(audit=audit).first(),
    }
    return render(request, "reviews/_planned.html", context)


@require_GET
def curves_plan_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the plan of every stratum."""
    audit = find_audit(request, pk)
    _, plan = _make_plan(request, audit)
    if plan is None:
        raise Http404("there is nothing to plan as asked")
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="plan-{audit.pk}.csv"'},
    )
    writer = csv.DictWriter(response, PLAN_COLUMNS)
    writer.writeheader()
    writer.writerows(plan["strata"])
    return response


def _make_plan(request: HttpRequest, audit: Audit) -> tuple[PlanForm, dict[str, Any] | None]:
    """Return the form with what is wrong with it, and the plan unless something is."""
    if not audit.is_ready:
        raise Http404("this audit has no flags yet")
    wanted = read_wanted(request.GET, audit)
    form = PlanForm(request.GET)
    if not form.is_valid():
        return form, None
    said = form.cleaned_data
    # A judge model is corrected by people's verdicts: those are what more are made of.
    truth = JUDGMENTS if wanted.truth.startswith(JUDGE) else wanted.truth
    try:
        plan = plan_review(audit, truth, wanted.policy, said["width"], said["goal"], said["k"])
    except PlanRefusedError as error:
        form.add_error(None, str(error))
        return form, None
    except UnknownTruthError as error:
        raise Http404(str(error)) from error
    return form, plan
