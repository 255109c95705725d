"""What a verdict is where its giver names the classes that hold and doesn't know the label.

The desk's page proposes the category, from a table that goes along with the item. Scripts are not
sent that table: they name what holds, and the category is derived here by the same rule. Nor does
a refusal depend on the label: it would tell what is hidden.
"""

from __future__ import annotations

from typing import Any

from reviews.categories import ALONE, propose_verdict
from reviews.models import UNCLEAR, QuestionVerdict, ReviewSlot, Verdict
from reviews.question_categories import propose_question_verdict
from reviews.services.class_cards import find_shown_classes


class NotBlindError(ValueError):
    """The answer takes the label for known; the message says what is allowed."""


def complete_answer(slot: ReviewSlot, said: dict[str, Any]) -> dict[str, Any]:
    """Return what was said about a slot's item with the verdict that follows from it."""
    if slot.sample.audit.dataset.has_questions:
        return _complete_question(slot, said)
    if said.get("verdict") not in {None, Verdict.UNSURE}:
        raise NotBlindError("name the classes that hold, the verdict follows; or say unsure")
    if said.get("labels") is None and said.get("verdict") is None:
        raise NotBlindError("name the classes that hold, or say unsure")
    given = slot.sampled_item.item.given_label
    verdict = said["verdict"] or propose_verdict(given, said["labels"], find_near(slot, given))
    # Counts only where it is an error, which whoever sends it can't know.
    severity = None if verdict in ALONE else said.get("severity")
    return {**said, "verdict": verdict, "severity": severity, "corrected_label": None}


def find_near(slot: ReviewSlot, given: int) -> dict[int, str]:
    """Return the classes near the given one, and what an item of those is called."""
    shown = find_shown_classes(slot.sample, {given}).get(given)
    return {int(label): category for label, category in shown.near.items()} if shown else {}


def _complete_question(slot: ReviewSlot, said: dict[str, Any]) -> dict[str, Any]:
    verdict, labels = said.get("verdict"), said.get("labels")
    if verdict not in {None, QuestionVerdict.UNSURE, *UNCLEAR}:
        raise NotBlindError("name the options that hold, the verdict follows; or say what is wrong")
    if verdict is None and labels is None:
        raise NotBlindError("name the options that hold, or say unsure")
    if verdict is None and not (said.get("source") or said.get("has_derivation")):
        # Asked of every answer: asked of those alone that contradict the key, it would tell it.
        raise NotBlindError("name a source, or say that you have derived the answer")
    given = slot.sampled_item.item.given_label
    verdict = verdict or propose_question_verdict(given, labels)
    return {**said, "verdict": verdict, "blind_labels": labels}
