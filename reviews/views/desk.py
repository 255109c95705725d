"""The review desk: one page, and what its script asks for besides giving verdicts."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST, require_safe

from audit.models import Audit
from reviews.desk_documents import write_past, write_preference, write_question
from reviews.desk_forms import PreferenceForm, read_mode, read_slot_ids
from reviews.desk_keys import KeysRefusedError
from reviews.models import ReviewSlot
from reviews.services import desk as desk_service
from reviews.services import leases
from reviews.services.class_cards import list_class_cards
from reviews.services.guides import find_examples
from reviews.services.preferences import save_preference
from reviews.views.desk_access import find_sample, read_json

ACTIONS = [
    *("lease", "judge", "undo", "reveal", "refer", "heartbeat", "hand_back", "class_search"),
    *("guide", "preferences"),
]
MOST_KNOWN = leases.BATCH + leases.MOST_SET_ASIDE


@require_safe
@never_cache
def desk(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the desk, or say why there is nothing to judge."""
    audits = Audit.objects.open_to(request.user).select_related("dataset__project", "sample")
    audit = get_object_or_404(audits, pk=pk)
    sample = getattr(audit, "sample", None)
    if sample is None or not (audit.dataset.has_pictures or audit.dataset.has_questions):
        return render(request, "reviews/desk_empty.html", {"audit": audit, "sample": sample})
    annotator = cast("User", request.user)
    config = {
        "audit": audit.pk,
        "annotator": annotator.pk,
        "leaseSeconds": settings.LEASE_SECONDS,
        "login": f"{reverse(settings.LOGIN_URL)}?next={request.path}",
        "urls": {action: reverse(f"reviews:{action}", args=[pk]) for action in ACTIONS},
        "thumb": reverse("audit:item_thumb", args=[0]),
        "preference": write_preference(annotator, audit.dataset),
        "total": sample.slots.count(),
        "uiVersion": settings.LABEL_AUDIT_VERSION,
    }
    page = "question_desk.html" if audit.dataset.has_questions else "desk.html"
    return render(request, f"reviews/{page}", {"audit": audit, "config": config})


@require_POST
@never_cache
def lease(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the items the annotator holds, topped up to ten besides those put off.

    Items that the page `has` already are not told again, only that they are still held. With
    `recall` also the annotator's own newest verdicts. The page asks for them once it runs:
    written into the page itself they would lack what the page before it sent meanwhile.
    """
    sample, annotator = find_sample(request, pk)
    data = read_json(request)
    mode = read_mode(data)
    later = read_slot_ids(data, "later", leases.MOST_SET_ASIDE)
    slots = leases.claim_slots(sample, annotator, set_aside=later)
    has = set(read_slot_ids(data, "has", MOST_KNOWN))
    unknown = [slot for slot in slots if slot.pk not in has]
    tickets = {slot.pk: leases.write_ticket(slot, annotator) for slot in slots}
    questions = desk_service.describe_slots(sample, annotator, unknown, mode)
    items = [
        {
            **write_question(question),
            "ticket": tickets[slot.pk],
            "is_training": slot.purpose == ReviewSlot.Purpose.TRAINING,
        }
        for question, slot in zip(questions, unknown, strict=True)
    ]
    elsewhere = 0 if slots else desk_service.count_held_by_others(sample, annotator)
    answer = {"items": items, "tickets": tickets, "elsewhere": elsewhere}
    if data.get("recall"):
        past = desk_service.recall_verdicts(sample, annotator, mode)
        answer["history"] = [write_past(each) for each in past]
        answer["judged"] = desk_service.count_judged(sample)
    return JsonResponse(answer)


@require_POST
@never_cache
def heartbeat(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep the annotator's items theirs; answer with those that still are."""
    sample, annotator = find_sample(request, pk)
    held = leases.renew_leases(sample, annotator)
    return JsonResponse({"held": held, "judged": desk_service.count_judged(sample)})


@require_POST
@never_cache
def hand_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Give items back that the annotator leaves unjudged."""
    sample, annotator = find_sample(request, pk)
    slots = read_slot_ids(read_json(request), "slots")
    return JsonResponse({"opened": leases.hand_back(sample, annotator, slots)})


@require_safe
@cache_control(private=True, max_age=3600)
def class_search(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with every class; the page searches by itself, also without a network."""
    sample, _ = find_sample(request, pk)
    return JsonResponse({"classes": [asdict(card) for card in list_class_cards(sample)]})


@require_safe
@cache_control(private=True, max_age=3600)
def guide(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the guide's list, its categories explained by pictures of the data set."""
    sample, _ = find_sample(request, pk)
    return render(request, "reviews/_guide_list.html", {"examples": find_examples(sample)})


@require_POST
@never_cache
def preferences(request: HttpRequest, pk: int) -> HttpResponse:
    """Store how the person likes the desk: mode, reveal, keys."""
    sample, annotator = find_sample(request, pk)
    form = PreferenceForm(read_json(request))
    if not form.is_valid():
        reasons = [str(reason) for field in form.errors.values() for reason in field]
        return JsonResponse({"error": "; ".join(reasons)}, status=422)
    dataset = sample.audit.dataset
    try:
        save_preference(annotator, dataset, **form.changes)
    except KeysRefusedError as error:
        return JsonResponse({"error": str(error)}, status=422)
    return JsonResponse(write_preference(annotator, dataset))
