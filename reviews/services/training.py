"""What is told after a training verdict: the known answer, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reviews.models import Judgment, KnownItem, ReviewSlot
from reviews.services.class_cards import find_class_cards
from reviews.services.gold import is_right


def tell_known_answer(slot: ReviewSlot, judgment: Judgment) -> dict[str, Any] | None:
    """Return the answer to a training item, None if it is marked no more."""
    item = slot.sampled_item.item
    known = KnownItem.objects.filter(
        audit=slot.sample.audit_id, item=item, use=KnownItem.Use.TRAINING
    ).first()
    if known is None:
        return None
    label = known.corrected_label
    named = {item.given_label} if label is None else {item.given_label, label}
    cards = find_class_cards(slot.sample.audit.dataset, named)
    return {
        "verdict": known.verdict,
        "is_right": is_right(known.verdict, judgment.verdict),
        "given": asdict(cards[item.given_label]),
        "corrected": None if label is None else asdict(cards[label]),
        "why": known.why,
    }
