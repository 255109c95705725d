"""The review desk: one page, and the small requests its script sends.

Every answer is about the annotator's own items and verdicts. A request that changes something
carries a key made when it was first tried; sent again, it is answered and not repeated.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST, require_safe

from audit.models import Audit
from reviews.desk_forms import AnswerForm, UndoForm, read_slot_ids
from reviews.models import Judgment, ReviewSlot, Sample
from reviews.services import desk as desk_service
from reviews.services import judgments, leases

ACTIONS = ["lease", "judge", "undo", "heartbeat", "hand_back", "class_search"]


@require_safe
@never_cache
def desk(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the desk, or say why there is nothing to judge."""
    audits = Audit.objects.open_to(request.user).select_related("dataset__project", "sample")
    audit = get_object_or_404(audits, pk=pk)
    sample = getattr(audit, "sample", None)
    if sample is None or not audit.dataset.has_pictures:
        return render(request, "reviews/desk_empty.html", {"audit": audit, "sample": sample})
    annotator = cast("User", request.user)
    config = {
        "audit": audit.pk,
        "annotator": annotator.pk,
        "leaseSeconds": settings.LEASE_SECONDS,
        "login": f"{reverse(settings.LOGIN_URL)}?next={request.path}",
        "urls": {action: reverse(f"reviews:{action}", args=[pk]) for action in ACTIONS},
        "total": sample.n_votes,
    }
    return render(request, "reviews/desk.html", {"audit": audit, "config": config})


@require_POST
@never_cache
def lease(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the items the annotator holds, topped up to ten besides those put off.

    With `recall` also the annotator's own newest verdicts. The page asks for them once it runs:
    written into the page itself they would lack what the page before it sent meanwhile.
    """
    sample, annotator = find_sample(request, pk)
    data = read_json(request)
    later = read_slot_ids(data, "later", leases.MOST_SET_ASIDE)
    slots = leases.claim_slots(sample, annotator, set_aside=later)
    questions = desk_service.describe_slots(sample.audit, slots)
    items = [
        {**write_question(question), "ticket": leases.write_ticket(slot, annotator)}
        for question, slot in zip(questions, slots, strict=True)
    ]
    elsewhere = 0 if items else desk_service.count_held_by_others(sample, annotator)
    answer = {"items": items, "elsewhere": elsewhere}
    if data.get("recall"):
        past = desk_service.recall_verdicts(sample, annotator)
        answer["history"] = [write_past(each) for each in past]
        answer["judged"] = desk_service.count_judged(sample)
    return JsonResponse(answer)


@require_POST
@never_cache
def judge(request: HttpRequest, pk: int) -> HttpResponse:
    """Record a verdict (with a ticket) or a change of mind (naming the verdict it revises)."""
    sample, annotator = find_sample(request, pk)
    data = read_json(request)
    if "key" not in data:
        raise BadRequest("a verdict needs an idempotency key")
    if "revises" in data:
        earlier = find_own_judgment(sample, annotator, data["revises"])
        slot = earlier.slot
    else:
        try:
            slot_id, epoch = leases.read_ticket(str(data.get("ticket")), annotator)
        except PermissionError as error:  # another person's outbox in this browser
            return JsonResponse({"error": str(error)}, status=403)
        except ValueError as error:
            return JsonResponse({"error": str(error)}, status=422)
        slots = sample.slots.select_related("sampled_item__item")
        earlier, slot = None, get_object_or_404(slots, pk=slot_id)
    form = AnswerForm(
        data,
        n_classes=sample.audit.dataset.n_classes,
        given_label=slot.sampled_item.item.given_label,
    )
    if not form.is_valid():
        return JsonResponse({"error": "not a verdict", "fields": form.errors}, status=422)
    key = form.cleaned_data["key"]
    try:
        if earlier:
            recorded = judgments.revise(annotator, earlier, key, form.answer)
        else:
            recorded = judgments.record_judgment(annotator, slot.pk, epoch, key, form.answer)
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        return refuse(sample, error)
    return JsonResponse({"key": key, "replayed": recorded.replayed})


@require_POST
@never_cache
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back one of the annotator's own verdicts; the item is theirs again."""
    sample, annotator = find_sample(request, pk)
    form = UndoForm(read_json(request))
    if not form.is_valid():
        return JsonResponse({"error": "not an undo", "fields": form.errors}, status=422)
    judgment = find_own_judgment(sample, annotator, form.cleaned_data["undoes"])
    try:
        recorded = judgments.withdraw(annotator, judgment, form.cleaned_data["key"])
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        return refuse(sample, error)
    slot = ReviewSlot.objects.get(pk=judgment.slot_id)
    ticket = leases.write_ticket(slot, annotator)
    return JsonResponse({"slot": slot.pk, "ticket": ticket, "replayed": recorded.replayed})


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
    cards = desk_service.list_class_cards(sample.audit.dataset)
    return JsonResponse({"classes": [asdict(card) for card in cards]})


def find_sample(request: HttpRequest, pk: int) -> tuple[Sample, User]:
    """Return the audit's sample and the annotator, or answer 404."""
    samples = Sample.objects.open_to(request.user).select_related("audit__dataset")
    return get_object_or_404(samples, audit=pk), cast("User", request.user)


def find_own_judgment(sample: Sample, annotator: User, key: object) -> Judgment:
    """Return the annotator's own judgment that was sent with this key, or answer 404."""
    own = Judgment.objects.filter(annotator=annotator, slot__sample=sample)
    return get_object_or_404(own.select_related("slot__sampled_item__item"), idempotency_key=key)


def read_json(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body, a JSON object, or answer 400."""
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("not JSON") from error
    if not isinstance(data, dict):
        raise BadRequest("not a JSON object")
    return data


def refuse(
    sample: Sample, error: judgments.KeyReusedError | judgments.RefusedError
) -> JsonResponse:
    """Say why nothing was recorded, and which verdict of the annotator's own stands."""
    if isinstance(error, judgments.KeyReusedError):
        return JsonResponse({"error": str(error), "code": "key_reuse"}, status=422)
    standing = None
    if error.standing is not None:
        standing = write_judgment(error.standing, None)
        if error.standing.corrected_label is not None:
            label = error.standing.corrected_label
            cards = desk_service.find_class_cards(sample.audit.dataset, [label])
            standing = write_judgment(error.standing, cards[label])
    return JsonResponse({"error": str(error), "standing": standing}, status=409)


def write_question(question: desk_service.Question) -> dict[str, Any]:
    """Return a question as the page's script reads it."""
    return {
        **asdict(question),
        "image": reverse("audit:item_image", args=[question.item]),
        "thumb": reverse("audit:item_thumb", args=[question.item]),
    }


def write_past(past: desk_service.Past) -> dict[str, Any]:
    """Return one of the annotator's own verdicts with its item."""
    return {"item": write_question(past.question), **write_judgment(past.judgment, past.corrected)}


def write_judgment(judgment: Judgment, corrected: desk_service.ClassCard | None) -> dict[str, Any]:
    """Return one of the annotator's own verdicts."""
    return {
        "key": str(judgment.idempotency_key),
        "verdict": judgment.verdict,
        "corrected": asdict(corrected) if corrected else None,
        "note": judgment.note,
    }
