"""Items whose answer is known: how many annotators are shown, which, and how they are marked."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from audit.models import Audit, Role
from reviews.gold_figures import gold_figures, trainings
from reviews.gold_forms import HandForm, PlanForm, TakeForm
from reviews.models import KnownItem, Policy, QualityPlan, ReviewSlot, Sample, VoteSource
from reviews.services.class_cards import find_class_cards
from reviews.services.known_items import (
    MarkingError,
    keep_plan,
    mark_adjudicated,
    mark_by_hand,
    mark_from_votes,
    retire,
)

PER_PAGE = 60


@require_http_methods(["GET", "POST"])
@never_cache
def gold(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is marked and how people do on it; a POST changes the plan or marks items."""
    audit = find_admins_audit(request, pk)
    plan = QualityPlan.objects.filter(audit=audit).first() or QualityPlan(audit=audit)
    act = request.POST.get("act") if request.method == "POST" else None
    plan_form = PlanForm(request.POST if act == "plan" else None, instance=plan)
    take_form = TakeForm(request.POST if act == "take" else None, audit=audit)
    hand_form = HandForm(request.POST if act == "hand" else None, audit=audit)
    acts = {"plan": plan_form, "take": take_form, "hand": hand_form}
    status = 200
    if request.method == "POST":
        form = acts.get(str(act))
        if form is not None and form.is_valid():
            try:
                messages.success(request, _do(cast("User", request.user), audit, form))
                return redirect("reviews:gold", audit.pk)
            except MarkingError as error:
                form.add_error(None, f"{error}.")
        status = 422
    context = {
        "audit": audit,
        "plan_form": plan_form,
        "take_form": take_form,
        "hand_form": hand_form,
        **_known_context(audit, request.GET.get("page", "1")),
    }
    return render(request, "reviews/gold.html", context, status=status)


@require_POST
def retire_gold(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a marked item to nobody any more."""
    known = get_object_or_404(KnownItem.objects.open_to(request.user, Role.ADMIN), pk=pk)
    retire(known, cast("User", request.user))
    messages.success(request, f"{known.item.key} is shown to nobody any more.")
    return redirect("reviews:gold", known.audit_id)


def find_admins_audit(request: HttpRequest, pk: int) -> Audit:
    """Return an audit of a project that the person administers, or answer 404."""
    audits = Audit.objects.open_to(request.user, at_least=Role.ADMIN)
    return get_object_or_404(audits.select_related("dataset__project"), pk=pk)


def _do(person: User, audit: Audit, form: forms.BaseForm) -> str:
    """Do what a form asks for; return what was done, in words."""
    if isinstance(form, PlanForm):
        keep_plan(form.instance, person)
        return "The plan is kept; it holds for whatever is handed out from now on."
    values = form.cleaned_data
    if isinstance(form, HandForm):
        known = mark_by_hand(audit, values["key"], values["use"], form.known, person)
        return f"{known.item.key} is marked."
    use, n_items = values["use"], values["n_items"]
    if not values["take_from"]:
        marked = mark_adjudicated(audit, use, n_items, person)
    else:
        source = VoteSource.objects.get(dataset=audit.dataset_id, name=values["take_from"])
        marked = mark_from_votes(audit, source, use, n_items, person)
    return f"{len(marked)} items are marked."


def _known_context(audit: Audit, page: str) -> dict[str, Any]:
    seen = (
        ReviewSlot.objects.filter(
            sample__audit=OuterRef("audit"),
            sampled_item__item=OuterRef("item"),
            state=ReviewSlot.State.JUDGED,
        )
        .exclude(purpose=ReviewSlot.Purpose.ESTIMATE)
        .order_by()
        .values("sampled_item__item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    known = audit.known_items.select_related("item").annotate(n_judged=Subquery(seen))
    shown = Paginator(known.order_by("-is_active", "use", "pk"), PER_PAGE).get_page(page)
    named = {each.item.given_label for each in shown}
    named |= {each.corrected_label for each in shown if each.corrected_label is not None}
    active = audit.known_items.filter(is_active=True)
    overall, people = gold_figures(audit, Policy.LENIENT)
    return {
        "known": shown,
        "n_gold": active.filter(use=KnownItem.Use.GOLD).count(),
        "n_training": active.filter(use=KnownItem.Use.TRAINING).count(),
        "has_sample": Sample.objects.filter(audit=audit).exists(),
        "cards": find_class_cards(audit.dataset, named),
        "overall": overall,
        "people": people,
        "trainings": trainings(audit),
    }
