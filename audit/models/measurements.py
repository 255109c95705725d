"""Measurements: figures that take too long for a page, made by a worker and kept."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models.audits import Audit
from audit.models.claims import Claimable
from audit.querysets import MeasurementQuerySet


class Measurement(Claimable):
    """One set of figures about an audit's experts, as it was ordered; it never changes.

    ``order`` is all that was asked for, with the moment from which on judgments don't count;
    ``document`` is what was found.
    """

    class Kind(models.TextChoices):
        """What is measured."""

        CALIBRATORS = "calibrators", "calibrators side by side"
        CASCADE = "cascade", "a cascade of two experts"
        SECOND_PASS = "second_pass", "experts on cleaned labels"

    audit = models.ForeignKey(Audit, on_delete=models.CASCADE, related_name="measurements")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    number = models.PositiveIntegerField()
    order = models.JSONField(default=dict)
    document = models.JSONField(default=dict, blank=True)
    n_done = models.PositiveIntegerField(default=0, help_text="Steps done so far.")
    n_steps = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MeasurementQuerySet.as_manager()

    class Meta:
        ordering = ["audit", "kind", "-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["audit", "kind", "number"], name="one_measurement_per_number"
            )
        ]

    def __str__(self) -> str:
        return f"measurement {self.number} ({self.kind}) of {self.audit}"

    @property
    def is_ready(self) -> bool:
        return self.work == self.Work.DONE

    @property
    def eta_seconds(self) -> float | None:
        """How long it still takes, if its steps go on as they did."""
        return self.seconds_left(self.n_done, self.n_steps)
