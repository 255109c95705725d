"""Judgments: what people said, append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reviews.models.chains import DecidedLink
from reviews.models.samples import ReviewSlot, SampledItem
from reviews.models.votes import KEY_CHANGES, QuestionVerdict
from reviews.querysets import JudgmentQuerySet, ReferralQuerySet

TAXONOMY_VERSION = 1  # raised whenever the meaning of a verdict changes; old rows keep theirs


class Verdict(models.TextChoices):
    """What a person can say about a picture's label (Section 3.5, Appendix C)."""

    LABEL_CORRECT = "label_correct", "Label correct"
    WRONG_LABEL = "wrong_label", "Wrong label"
    MULTI_OBJECT = "multi_object", "Multi-object"
    SIMILAR_CLASS = "similar_class", "Similar class"
    SUB_CLASS = "sub_class", "Sub-class"
    SUPER_CLASS = "super_class", "Super-class"
    UNSURE = "unsure", "Unsure"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Mode(models.TextChoices):
    """At which desk a verdict was given."""

    FULL = "full", "classes ticked"
    QUICK = "quick", "label and proposals shown, one key"


class Stage(models.TextChoices):
    """What the annotator knew of label and experts when the verdict was given."""

    BLIND = "blind", "nothing"
    REVEALED = "revealed", "shown before the verdict"
    AFTER = "after", "shown after an earlier verdict: a change of mind"


class Severity(models.IntegerChoices):
    """How bad a label error is, where the annotator says so."""

    NEAR_MISS = 1, "near miss"
    CLEAR = 2, "clear"
    GROSS = 3, "gross"


class Judgment(DecidedLink):
    """One version of one person's verdict. Rows are never changed: undo adds a row."""

    slot = models.ForeignKey(ReviewSlot, on_delete=models.PROTECT, related_name="judgments")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="judgments"
    )
    verdict = models.CharField(
        max_length=24,
        choices=dict([*QuestionVerdict.choices, *Verdict.choices]),
        help_text="Of a picture's label, or a question's key.",
    )
    corrected_label = models.PositiveIntegerField(null=True, blank=True)
    labels = models.JSONField(
        null=True,
        blank=True,
        help_text="The classes that hold, the main one first; null where none were asked for.",
    )
    blind_labels = models.JSONField(
        null=True,
        blank=True,
        help_text="A question's answers before its key was shown; null where it was in sight.",
    )
    source = models.CharField(
        max_length=500, blank=True, help_text="What shows that a question's key is not right."
    )
    has_derivation = models.BooleanField(
        default=False, help_text="The annotator has derived the answer, in place of a source."
    )
    severity = models.PositiveSmallIntegerField(null=True, blank=True, choices=Severity.choices)
    note = models.CharField(max_length=2000, blank=True)
    mode = models.CharField(max_length=5, choices=Mode.choices)
    stage = models.CharField(max_length=8, choices=Stage.choices)
    taxonomy_version = models.PositiveSmallIntegerField(default=TAXONOMY_VERSION)
    idempotency_key = models.UUIDField(unique=True)
    body_sha256 = models.CharField(max_length=64)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    milliseconds = models.PositiveIntegerField(
        help_text="Between the item's first paint and the verdict, as the browser measured it."
    )

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=sorted({*Verdict.values, *QuestionVerdict.values})),
                name="known_verdict",
            ),
            models.CheckConstraint(
                condition=~models.Q(verdict__in=sorted(KEY_CHANGES))
                | models.Q(has_derivation=True)
                | ~models.Q(source=""),
                name="a_changed_key_has_a_source",
            ),
            models.CheckConstraint(
                condition=models.Q(corrected_label=None)
                | ~models.Q(verdict__in=["label_correct", "unsure", "withdrawn"]),
                name="only_an_error_has_a_corrected_label",
            ),
            models.CheckConstraint(
                condition=models.Q(severity=None)
                | ~models.Q(verdict__in=["label_correct", "unsure", "withdrawn"]),
                name="only_an_error_has_a_severity",
            ),
            models.CheckConstraint(
                condition=models.Q(mode__in=Mode.values, stage__in=Stage.values)
                & ~models.Q(mode="quick", stage="blind"),
                name="the_quick_desk_is_not_blind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.annotator}"


class Reveal(models.Model):
    """That an annotator was shown label and experts of an item after judging it."""

    sampled_item = models.ForeignKey(SampledItem, on_delete=models.PROTECT, related_name="reveals")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    revealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sampled_item", "annotator"], name="one_reveal_per_person_and_item"
            )
        ]

    def __str__(self) -> str:
        return f"{self.sampled_item} to {self.annotator}"


class Referral(models.Model):
    """An item that an annotator wants an adjudicator to look at. It excludes nothing."""

    sampled_item = models.ForeignKey(
        SampledItem, on_delete=models.PROTECT, related_name="referrals"
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="referrals"
    )
    is_open = models.BooleanField(default=True)
    note = models.CharField(max_length=2000, blank=True)
    referred_at = models.DateTimeField(auto_now_add=True)

    objects = ReferralQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["sampled_item", "annotator"], name="one_referral_per_person_and_item"
            )
        ]

    def __str__(self) -> str:
        return f"{self.sampled_item} by {self.annotator}"
