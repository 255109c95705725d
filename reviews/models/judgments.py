"""Judgments: what people said, append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reviews.models.samples import ReviewSlot
from reviews.querysets import JudgmentQuerySet


class Verdict(models.TextChoices):
    """What a person can say about a label (Section 3.5, Appendix C)."""

    LABEL_CORRECT = "label_correct", "Label correct"
    WRONG_LABEL = "wrong_label", "Wrong label"
    MULTI_OBJECT = "multi_object", "Multi-object"
    SIMILAR_CLASS = "similar_class", "Similar class"
    SUB_CLASS = "sub_class", "Sub-class"
    SUPER_CLASS = "super_class", "Super-class"
    UNSURE = "unsure", "Unsure"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Judgment(models.Model):
    """One version of one person's verdict. Rows are never changed: undo adds a row."""

    slot = models.ForeignKey(ReviewSlot, on_delete=models.PROTECT, related_name="judgments")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judgments"
    )
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    corrected_label = models.PositiveIntegerField(null=True, blank=True)
    note = models.CharField(max_length=2000, blank=True)
    idempotency_key = models.UUIDField(unique=True)
    body_sha256 = models.CharField(max_length=64)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    milliseconds = models.PositiveIntegerField(
        help_text="Between the item's first paint and the verdict, as the browser measured it."
    )
    decided_at = models.DateTimeField(auto_now_add=True)

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=Verdict.values), name="known_verdict"
            ),
            models.CheckConstraint(
                condition=models.Q(corrected_label=None)
                | ~models.Q(verdict__in=["label_correct", "unsure", "withdrawn"]),
                name="only_an_error_has_a_corrected_label",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.annotator}"
