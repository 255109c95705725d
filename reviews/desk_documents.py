"""The desk's JSON: what its script reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse

from audit.models import Dataset
from reviews.desk_keys import acts_of
from reviews.models import DeskPreference, Judgment
from reviews.services.class_cards import ClassCard
from reviews.services.desk import Past, Question
from reviews.services.question_desk import MultipleChoice


def write_question(question: Question | MultipleChoice) -> dict[str, Any]:
    """Return an item to judge, a picture with its addresses."""
    if isinstance(question, MultipleChoice):
        return asdict(question)
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
        "labels": judgment.labels,
        "blind_labels": judgment.blind_labels,
        "source": judgment.source,
        "has_derivation": judgment.has_derivation,
    }


def write_preference(user: User, dataset: Dataset) -> dict[str, Any]:
    """Return how the person likes the desk, with every act of this kind of desk and its key."""
    preference = DeskPreference.objects.filter(user=user).first() or DeskPreference(user=user)
    acts = acts_of(dataset)
    return {
        "mode": preference.mode,
        "stops_at_reveal": preference.stops_at_reveal,
        "acts": [{**asdict(act), "usual": act.key} for act in acts],
        "keys": {act.name: preference.keys.get(act.name, act.key) for act in acts},
    }
