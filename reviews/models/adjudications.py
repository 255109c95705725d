"""Adjudications: what somebody decides who has seen everybody's votes, append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reviews.models.chains import DecidedLink
from reviews.models.judgments import Verdict
from reviews.models.samples import SampledItem
from reviews.models.votes import QuestionVerdict
from reviews.querysets import AdjudicationQuerySet

QUESTION_RULINGS = list(QuestionVerdict.choices)
RULINGS = [choice for choice in Verdict.choices if choice[0] != Verdict.WITHDRAWN]


class Adjudication(DecidedLink):
    """One reasoned decision on an item. It stands above the votes until another supersedes it."""

    sampled_item = models.ForeignKey(
        SampledItem, on_delete=models.PROTECT, related_name="adjudications"
    )
    adjudicator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="adjudications"
    )
    verdict = models.CharField(max_length=24, choices=dict([*QUESTION_RULINGS, *RULINGS]))
    corrected_label = models.PositiveIntegerField(null=True, blank=True)
    labels = models.JSONField(
        null=True,
        blank=True,
        help_text="The classes that hold, the main one first; null where none is named.",
    )
    reason = models.CharField(max_length=4000)
    last_judgment = models.PositiveBigIntegerField(
        default=0, help_text="The newest verdict on the item that the adjudicator had seen."
    )
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )

    objects = AdjudicationQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["sampled_item"],
                condition=models.Q(supersedes=None),
                name="one_first_adjudication_per_item",
            ),
            models.CheckConstraint(
                condition=~models.Q(reason=""), name="adjudication_has_a_reason"
            ),
            models.CheckConstraint(
                condition=models.Q(corrected_label=None)
                | ~models.Q(verdict__in=["label_correct", "unsure"]),
                name="only_an_adjudicated_error_has_a_corrected_label",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.adjudicator}"

    @property
    def named(self) -> list[int]:
        """Every class that holds by it, or the one it corrects the label to."""
        if self.labels is not None:
            return list(self.labels)
        return [] if self.corrected_label is None else [self.corrected_label]
