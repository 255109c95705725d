"""Items whose answer is known: they say something about annotators, never about the sample."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models import Audit, Item
from reviews.models.samples import Sample
from reviews.models.votes import QuestionVerdict
from reviews.querysets import KnownItemQuerySet

MOST_TRAINING = 50


class QualityPlan(models.Model):
    """How an audit looks after its annotators. Without a row: gold as the default says."""

    audit = models.OneToOneField(Audit, on_delete=models.PROTECT, related_name="quality_plan")
    gold_share = models.FloatField(
        default=0.05, help_text="Of all that an annotator is shown; nobody can tell which."
    )
    n_training = models.PositiveSmallIntegerField(
        default=0, help_text="Items at the start whose answer is told after each verdict."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(gold_share__gte=0, gold_share__lte=0.5),
                name="at_most_half_is_gold",
            ),
            models.CheckConstraint(
                condition=models.Q(n_training__lte=MOST_TRAINING), name="training_is_short"
            ),
        ]

    def __str__(self) -> str:
        return f"quality of {self.audit}"


class KnownItem(models.Model):
    """One item with its known answer, and how it is known."""

    class Use(models.TextChoices):
        """What it is shown for."""

        GOLD = "gold", "gold: among the others, unseen"
        TRAINING = "training", "training: at the start, the answer is told"

    class Origin(models.TextChoices):
        """How the answer is known."""

        ADJUDICATED = "adjudicated", "an adjudicator decided it"
        VOTES = "votes", "an outside source says it"
        BY_HAND = "by_hand", "an admin says it"

    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="known_items")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+")
    use = models.CharField(max_length=8, choices=Use.choices)
    verdict = models.CharField(max_length=24)
    corrected_label = models.PositiveIntegerField(null=True, blank=True)
    why = models.CharField(max_length=2000, blank=True, help_text="Told after training verdicts.")
    origin = models.CharField(max_length=12, choices=Origin.choices)
    source = models.CharField(max_length=50, blank=True)
    is_active = models.BooleanField(default=True)
    marked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    marked_at = models.DateTimeField(auto_now_add=True)

    objects = KnownItemQuerySet.as_manager()

    class Meta:
        ordering = ["audit", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["audit", "item"], name="one_known_answer_per_item"),
            models.CheckConstraint(
                condition=~models.Q(verdict__in=["", "withdrawn", QuestionVerdict.UNSURE]),
                name="a_known_answer_is_sure",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.verdict}"


class Training(models.Model):
    """That somebody has gone through the training set of a sample, and how."""

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="trainings")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    n_items = models.PositiveSmallIntegerField()
    n_right = models.PositiveSmallIntegerField()
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sample", "annotator"], name="one_training_per_person_and_sample"
            )
        ]

    def __str__(self) -> str:
        return f"{self.annotator}: {self.n_right} of {self.n_items}"
