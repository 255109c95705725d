"""Adjudication: what is split or flagged, the case file of one item, the reasoned decision."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from audit.models import Audit, Role
from audit.views.access import find_audit
from reviews.adjudication_forms import RulingForm, suggest_classes
from reviews.desk_documents import write_preference
from reviews.disputes import find_decided, find_disputes
from reviews.models import Sample, SampledItem
from reviews.services.adjudication import OvertakenError, adjudicate
from reviews.services.case_files import CaseFile, open_case
from reviews.services.class_cards import find_class_cards, list_class_cards
from reviews.services.desk import labels_of

DECIDED_SHOWN = 50


@require_GET
@never_cache
def adjudication(request: HttpRequest, pk: int) -> HttpResponse:
    """List what waits for a decision, what waits for a third vote, and what is decided."""
    audit = find_audit(request, pk)
    sample = Sample.objects.filter(audit=audit).first()
    disputes = find_disputes(sample) if sample else []
    decided = find_decided(sample) if sample else []
    shown = decided[:DECIDED_SHOWN]
    named = {label for dispute in disputes for _, labels in dispute.answers for label in labels}
    named |= labels_of(shown)
    named |= {dispute.row.item.given_label for dispute in disputes}
    named |= {each.sampled_item.item.given_label for each in shown}
    context = {
        "audit": audit,
        "sample": sample,
        "waiting": [dispute for dispute in disputes if not dispute.awaits_vote],
        "awaiting_vote": [dispute for dispute in disputes if dispute.awaits_vote],
        "n_decided": len(decided),
        "decided": shown,
        "cards": find_class_cards(audit.dataset, named),
    }
    return render(request, "reviews/adjudication.html", context)


@require_http_methods(["GET", "POST"])
@never_cache
def adjudicate_item(request: HttpRequest, pk: int, item_pk: int) -> HttpResponse:
    """Show everything about one item, and record what is decided about it."""
    rows = SampledItem.objects.open_to(request.user, at_least=Role.MAINTAINER)
    row = get_object_or_404(
        rows.select_related("item__dataset", "sample__audit__dataset__project"),
        sample__audit=pk,
        item=item_pk,
    )
    audit = row.sample.audit
    if request.method != "POST":
        case = open_case(audit, row)
        return _show(request, audit, case, RulingForm(item=row.item, initial=_begin(case)))
    form = RulingForm(request.POST, item=row.item)
    if not form.is_valid():
        return _show(request, audit, open_case(audit, row), form, status=422)
    try:
        adjudicate(cast("User", request.user), row, form.ruling, form.seen)
    except OvertakenError as error:
        # What was typed stays; sent again, it rests on what the page shows now.
        case = open_case(audit, row)
        kept = RulingForm(item=row.item, initial={**form.cleaned_data, **_begin(case)})
        return _show(request, audit, case, kept, status=409, overtaken=str(error))
    messages.success(request, f"{row.item.key} is decided.")
    following = [each.row for each in find_disputes(row.sample) if not each.awaits_vote]
    later = [each for each in following if each.order > row.order] or following
    if later:
        return redirect("reviews:adjudicate_item", audit.pk, later[0].item_id)
    return redirect("reviews:adjudication", audit.pk)


def _begin(case: CaseFile) -> dict[str, Any]:
    """Return what a form rests on: decisions and votes as they are on the page."""
    return {
        "seen_adjudication": case.seen.adjudication,
        "seen_judgment": case.seen.judgment,
        "ui_version": settings.LABEL_AUDIT_VERSION,
    }


def _show(
    request: HttpRequest,
    audit: Audit,
    case: CaseFile,
    form: RulingForm,
    status: int = 200,
    overtaken: str = "",
) -> HttpResponse:
    waiting = [each.row for each in find_disputes(case.row.sample) if not each.awaits_vote]
    context = {
        "audit": audit,
        "case": case,
        "item": case.row.item,
        "form": form,
        "overtaken": overtaken,
        "preference": write_preference(cast("User", request.user), audit.dataset),
        "suggestions": suggest_classes(list_class_cards(case.row.sample)),
        "n_waiting": len(waiting),
        "next_item": next((row for row in waiting if row.order > case.row.order), None),
    }
    return render(request, "reviews/adjudicate_item.html", context, status=status)
