"""The queue's filter by what people said: judged or not, and by verdict."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from audit.models import Audit, Dataset
from audit.queue_filters import QueueFilter
from reviews.models import QuestionVerdict, ReviewSlot, Verdict

JUDGED, UNJUDGED = "judged", "unjudged"


def list_verdicts(dataset: Dataset) -> Sequence[tuple[str, str]]:
    """Return what can have been said of such items."""
    has_questions = dataset.kind == Dataset.Kind.MULTIPLE_CHOICE
    verdicts = QuestionVerdict.choices if has_questions else Verdict.choices
    said = [(value, words.lower()) for value, words in verdicts if value != Verdict.WITHDRAWN]
    return [(JUDGED, "judged"), (UNJUDGED, "not judged"), *said]


def said_of_item(audit: Audit, value: str) -> Q:
    """Return the condition that one of an item's votes as they stand is this verdict."""
    slots = ReviewSlot.objects.for_estimates().filter(
        sample__audit=audit, state=ReviewSlot.State.JUDGED
    )
    if value not in {JUDGED, UNJUDGED}:
        slots = slots.filter(judgment__verdict=value)
    said = Q(item__in=slots.values("sampled_item__item"))
    return ~said if value == UNJUDGED else said


VERDICT_FILTER = QueueFilter("verdict", "verdict", list_verdicts, said_of_item)
