"""Releases: cleaned label files with their manifest."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models import Audit, Claimable
from reviews.querysets import ReleaseQuerySet


class Policy(models.TextChoices):
    """Which verdicts count as a label error."""

    LENIENT = "lenient", "lenient: any of the five categories"
    STRICT = "strict", "strict: wrong label only"


class Release(Claimable):
    """One build of cleaned label files from the judgments up to one moment."""

    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField()
    policy = models.CharField(max_length=10, choices=Policy.choices)
    last_judgment = models.PositiveBigIntegerField(
        default=0, help_text="The newest judgment that counts: the snapshot."
    )
    last_adjudication = models.PositiveBigIntegerField(
        default=0, help_text="The newest adjudication that counts, likewise."
    )
    manifest = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["audit", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["audit", "number"], name="one_release_per_number")
        ]

    def __str__(self) -> str:
        return f"release {self.number} of {self.audit}"

    @property
    def is_ready(self) -> bool:
        return self.work == self.Work.DONE
