"""What annotators say at the desk: verdicts, undo, flags for adjudication; and what they are told.

Every answer is about the annotator's own items and verdicts. A request that changes something
carries a key made when it was first tried; sent again, it is answered and not repeated.
"""

from __future__ import annotations

from dataclasses import asdict

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from reviews.desk_documents import write_judgment
from reviews.desk_forms import ReferralForm, UndoForm, read_answer
from reviews.models import ReviewSlot, Sample
from reviews.services import judgments, leases
from reviews.services.class_cards import find_class_cards
from reviews.services.desk import labels_of
from reviews.services.referrals import refer_item
from reviews.services.reveals import reveal_to
from reviews.services.training import tell_known_answer
from reviews.views.desk_access import find_own_judgment, find_sample, read_json


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
    form = read_answer(data, slot.sampled_item.item, sample.audit.dataset)
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
    answer = {"key": key, "replayed": recorded.replayed}
    if slot.purpose == ReviewSlot.Purpose.TRAINING:
        answer["feedback"] = tell_known_answer(slot, recorded.judgment)
    return JsonResponse(answer)


@require_POST
@never_cache
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back one of the annotator's own verdicts; the item is theirs again."""
    sample, annotator = find_sample(request, pk)
    form = UndoForm(read_json(request))
    if not form.is_valid():
        return JsonResponse({"error": "not an undo", "fields": form.errors}, status=422)
    judgment = find_own_judgment(sample, annotator, form.cleaned_data["undoes"])
    key, ui_version = form.cleaned_data["key"], form.cleaned_data["ui_version"]
    try:
        recorded = judgments.withdraw(annotator, judgment, key, ui_version)
    except (judgments.KeyReusedError, judgments.RefusedError) as error:
        return refuse(sample, error)
    slot = ReviewSlot.objects.get(pk=judgment.slot_id)
    ticket = leases.write_ticket(slot, annotator)
    return JsonResponse({"slot": slot.pk, "ticket": ticket, "replayed": recorded.replayed})


@require_POST
@never_cache
def reveal(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell label, experts and flags of an item that the annotator has judged."""
    sample, annotator = find_sample(request, pk)
    judgment = find_own_judgment(sample, annotator, read_json(request).get("key"))
    return JsonResponse({"told": asdict(reveal_to(annotator, judgment))})


@require_POST
@never_cache
def refer(request: HttpRequest, pk: int) -> HttpResponse:
    """Flag one of the annotator's items for adjudication, or take the flag back."""
    sample, annotator = find_sample(request, pk)
    form = ReferralForm(read_json(request))
    if not form.is_valid():
        return JsonResponse({"error": "not a flag", "fields": form.errors}, status=422)
    values = form.cleaned_data
    slots = sample.slots.select_related("sampled_item")
    slot = get_object_or_404(slots, pk=values["slot"])
    if not leases.was_given(slot, annotator, values["ticket"]):
        raise Http404("this item was not given to them")
    referral = refer_item(
        annotator, slot.sampled_item, is_open=values["is_open"], note=values["note"]
    )
    return JsonResponse({"slot": slot.pk, "is_open": referral.is_open})


def refuse(
    sample: Sample, error: judgments.KeyReusedError | judgments.RefusedError
) -> JsonResponse:
    """Say why nothing was recorded, and which verdict of the annotator's own stands."""
    if isinstance(error, judgments.KeyReusedError):
        return JsonResponse({"error": str(error), "code": "key_reuse"}, status=422)
    standing = None
    if (judgment := error.standing) is not None:
        cards = find_class_cards(sample.audit.dataset, labels_of([judgment]))
        corrected, labels = judgment.corrected_label, judgment.labels
        standing = write_judgment(
            judgment,
            None if corrected is None else cards[corrected],
            None if labels is None else tuple(cards[label] for label in labels),
        )
    return JsonResponse({"error": str(error), "standing": standing}, status=409)
