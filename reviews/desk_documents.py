"""The desk's JSON: what its script reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse

from reviews.desk_keys import ACTS, USUAL
from reviews.models import DeskPreference, Judgment
from reviews.services.class_cards import ClassCard
from reviews.services.desk import Past, Question


def write_question(question: Question) -> dict[str, Any]:
    """Return a question with the addresses of its picture."""
    return {
        **asdict(question),
        "image": reverse("audit:item_image", args=[question.item]),
        "thumb": reverse("audit:item_thumb", args=[question.item]),
    }


def write_past(past: Past) -> dict[str, Any]:
    """Return one of the annotator's own verdicts with its item."""
    return {
        "item": write_question(past.question),
        "is_revealed": past.is_revealed,
        **write_judgment(past.judgment, past.corrected, past.ticked),
    }


def write_judgment(
    judgment: Judgment, corrected: ClassCard | None, ticked: tuple[ClassCard, ...] | None
) -> dict[str, Any]:
    """Return one of the annotator's own verdicts."""
    return {
        "key": str(judgment.idempotency_key),
        "verdict": judgment.verdict,
        "corrected": asdict(corrected) if corrected else None,
        "ticked": None if ticked is None else [asdict(card) for card in ticked],
        "severity": judgment.severity,
        "note": judgment.note,
    }


def write_preference(user: User) -> dict[str, Any]:
    """Return how the person likes the desk, with every act and its key."""
    preference = DeskPreference.objects.filter(user=user).first() or DeskPreference(user=user)
    return {
        "mode": preference.mode,
        "stops_at_reveal": preference.stops_at_reveal,
        "acts": [{**asdict(act), "usual": act.key} for act in ACTS],
        "keys": USUAL | preference.keys,
    }
