"""Audits: a data set, its experts, the parameters, and the queues that come out."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models.claims import Claimable
from audit.models.datasets import Dataset, Item
from audit.models.scores import ScoreSet
from audit.querysets import AuditQuerySet, FlagQuerySet

# As in scoring.temperature, which web processes do without: it brings scipy.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0


class Audit(Claimable):
    """One audit of one data set by two or more experts. Frozen once it is ready."""

    class State(models.TextChoices):
        """Which stage the audit is in."""

        SCORING = "scoring"
        CALIBRATING = "calibrating"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class BinsOver(models.TextChoices):
        """Which items the confidence bins are cut over (Section 3.5 or Section 2.3)."""

        DISPUTED = "disputed", "disputed items"
        ALL = "all", "all items"

    class Calibrator(models.TextChoices):
        """How confidences are calibrated."""

        TEMPERATURE = "temperature", "temperature scaling"
        PLATT = "platt", "Platt scaling"
        HISTOGRAM = "histogram", "histogram binning"
        ISOTONIC = "isotonic", "isotonic regression"
        NONE = "none", "none (raw confidences)"

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="audits")
    score_sets = models.ManyToManyField(ScoreSet, through="AuditExpert", related_name="audits")
    state = models.CharField(max_length=12, choices=State.choices, default=State.SCORING)
    n_bins = models.PositiveSmallIntegerField(default=15)
    bins_over = models.CharField(max_length=10, choices=BinsOver.choices, default=BinsOver.DISPUTED)
    calibrator = models.CharField(
        max_length=12, choices=Calibrator.choices, default=Calibrator.TEMPERATURE
    )
    require_agreement = models.BooleanField(default=False)
    seed = models.PositiveIntegerField(default=0)
    is_urgent = models.BooleanField(default=False)
    n_disputed = models.PositiveIntegerField(null=True, blank=True)
    queue_counts = models.JSONField(default=dict, blank=True)
    seconds = models.JSONField(default=dict, blank=True)
    sha256 = models.CharField(
        max_length=64, blank=True, help_text="Over every flag in order: same inputs, same hash."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(n_bins__gte=1, n_bins__lte=1000), name="bins_from_1_to_1000"
            )
        ]

    def __str__(self) -> str:
        return f"audit {self.pk} of {self.dataset}"

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def is_under_way(self) -> bool:
        return self.state in {self.State.SCORING, self.State.CALIBRATING}


class AuditExpert(models.Model):
    """One expert of an audit, in the order given, with its calibration."""

    audit = models.ForeignKey(Audit, on_delete=models.CASCADE, related_name="experts")
    score_set = models.ForeignKey(ScoreSet, on_delete=models.PROTECT, related_name="+")
    order = models.PositiveSmallIntegerField()
    calibration = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["audit", "order"]
        constraints = [
            models.UniqueConstraint(fields=["audit", "order"], name="one_expert_per_place"),
            models.UniqueConstraint(fields=["audit", "score_set"], name="an_expert_once_per_audit"),
            # Of a temperature that isn't there the comparisons say nothing, which a check lets by.
            *(
                models.CheckConstraint(
                    condition=models.Q(
                        (f"calibration__parameters__{half}__temperature__gte", MIN_TEMPERATURE),
                        (f"calibration__parameters__{half}__temperature__lte", MAX_TEMPERATURE),
                    ),
                    name=f"temperature_{half}_can_be",
                )
                for half in ("a", "b")
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.score_set.expert


class Flag(models.Model):
    """An item that one method calls suspect: its place in that method's queue."""

    audit = models.ForeignKey(Audit, on_delete=models.CASCADE, related_name="flags")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="flags")
    method = models.CharField(max_length=300)
    rank = models.PositiveIntegerField(help_text="1 = first to look at.")
    score = models.FloatField()
    bin_rank = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="1 = most confident; only where the method has bins."
    )
    proposed_label = models.PositiveIntegerField()
    experts_agree = models.BooleanField()

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ["audit", "method", "rank"]
        constraints = [
            models.UniqueConstraint(
                fields=["audit", "method", "rank"], name="one_flag_per_rank_and_method"
            ),
            models.UniqueConstraint(
                fields=["audit", "method", "item"], name="one_flag_per_item_and_method"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} #{self.rank}: {self.item}"
