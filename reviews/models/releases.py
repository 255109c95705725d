"""Releases: cleaned label files with their manifest."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models import Audit, Claimable, Project
from reviews.querysets import ReleaseQuerySet


class Policy(models.TextChoices):
    """Which verdicts count as a label error."""

    LENIENT = "lenient", "lenient: any of the five categories"
    STRICT = "strict", "strict: wrong label only"


class StoredPolicy(models.Model):
    """One version of a project's own policy. Never changes: a change is the next version."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="policies")
    name = models.SlugField()
    version = models.PositiveIntegerField()
    definition = models.JSONField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["project", "name", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="one_policy_per_version"
            ),
            models.CheckConstraint(
                condition=~models.Q(name__in=Policy.values), name="built_in_policies_stay"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"


class Release(Claimable):
    """One build of cleaned label files from the judgments up to one moment."""

    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="releases")
    number = models.PositiveIntegerField()
    policy = models.CharField(max_length=50)
    policy_version = models.PositiveIntegerField(default=1)
    policy_definition = models.JSONField(help_text="As it was when the release was ordered.")
    formats = models.JSONField(default=list)
    n_written = models.PositiveIntegerField(default=0, help_text="Items written so far.")
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

    @property
    def eta_seconds(self) -> float | None:
        """How long it is still written, if it goes on as it did."""
        return self.seconds_left(self.n_written, self.audit.dataset.n_items)

    @property
    def policy_name(self) -> str:
        """The policy as pages call it: a stored one with its version."""
        if self.policy in Policy.values:
            return self.policy
        return f"{self.policy}, version {self.policy_version}"

    @property
    def n_files(self) -> int:
        """How many files it has, the manifest included."""
        return len(self.manifest.get("files", {})) + 1

    @property
    def n_bytes(self) -> int:
        """What its files weigh, but for the manifest."""
        return sum(file["bytes"] for file in self.manifest.get("files", {}).values())
