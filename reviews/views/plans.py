"""How many more verdicts an interval of the wanted width takes, and in which strata."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.views.access import find_audit
from reviews.comparison_page import read_wanted
from reviews.forms import PlanForm
from reviews.judge_words import JUDGE
from reviews.models import Sample
from reviews.plans import PlanRefusedError, plan_review
from reviews.truths import JUDGMENTS, UnknownTruthError


@require_GET
def curves_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a plan as a part of the page that compares methods."""
    audit = find_audit(request, pk)
    if not audit.is_ready:
        raise Http404("this audit has no flags yet")
    wanted = read_wanted(request.GET, audit)
    form = PlanForm(request.GET)
    context: dict[str, Any] = {
        "audit": audit,
        "form": form,
        "sample": Sample.objects.filter(audit=audit).first(),
    }
    if form.is_valid():
        said = form.cleaned_data
        # A judge model is corrected by people's verdicts: those are what more are made of.
        truth = JUDGMENTS if wanted.truth.startswith(JUDGE) else wanted.truth
        try:
            context["plan"] = plan_review(
                audit, truth, wanted.policy, said["width"], said["goal"], said["k"]
            )
        except PlanRefusedError as error:
            form.add_error(None, str(error))
        except UnknownTruthError as error:
            raise Http404(str(error)) from error
    return render(request, "reviews/_planned.html", context)
