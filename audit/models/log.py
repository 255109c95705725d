"""The log: who did what, when, to what. Append-only, every row hashed with the one before it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from audit.models.chains import Link
from audit.querysets import LogQuerySet


class Act(models.TextChoices):
    """What the log speaks of: everything that gives or takes power, brings data in or lets it out.

    Verdicts and adjudications have a chain of their own, per audit.
    """

    LOGGED_IN = "logged_in", "logged in"
    LOG_IN_FAILED = "log_in_failed", "gave a wrong password"
    LOG_IN_THROTTLED = "log_in_throttled", "was refused for too many attempts"
    LOGGED_OUT = "logged_out", "logged out"
    CONFIRMED = "confirmed", "confirmed who they are"
    PASSWORD_CHANGED = "password_changed", "changed their password"
    ACCOUNT_MADE = "account_made", "made an account"
    ACCOUNT_CLOSED = "account_closed", "closed an account"
    TOKEN_MADE = "token_made", "made an API token"
    TOKEN_REVOKED = "token_revoked", "revoked an API token"
    MEMBER_ADDED = "member_added", "added a member"
    ROLE_CHANGED = "role_changed", "changed a role"
    MEMBER_REMOVED = "member_removed", "removed a member"
    DATASET_IMPORTED = "dataset_imported", "imported a data set"
    SCORES_IMPORTED = "scores_imported", "imported scores"
    VOTES_IMPORTED = "votes_imported", "imported votes"
    AUDIT_STARTED = "audit_started", "started an audit"
    AUDIT_CANCELLED = "audit_cancelled", "cancelled an audit"
    AUDIT_RESUMED = "audit_resumed", "resumed an audit"
    SAMPLE_DRAWN = "sample_drawn", "drew a sample"
    SAMPLE_DISCARDED = "sample_discarded", "discarded a sample"
    KNOWN_ITEMS_MARKED = "known_items_marked", "marked items with known answers"
    KNOWN_ITEM_RETIRED = "known_item_retired", "retired an item with a known answer"
    QUALITY_PLANNED = "quality_planned", "changed the plan for gold and training"
    POLICY_SAVED = "policy_saved", "stored a policy"
    RELEASE_ORDERED = "release_ordered", "ordered a release"
    PROJECT_REMOVED = "project_removed", "removed a project"
    RESTORED = "restored", "restored a backup"


class LogEntry(Link):
    """One thing that somebody did. It refers to nothing, so that it outlives what it speaks of."""

    at = models.DateTimeField(default=timezone.now)
    act = models.CharField(max_length=24, choices=Act.choices)
    person_number = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The account's; none for commands on the server."
    )
    person = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True, help_text="From where, for log-ins.")
    project = models.CharField(max_length=50, blank=True, help_text="Its short name.")
    subject = models.CharField(max_length=255, blank=True, help_text="What it was done to.")
    detail = models.JSONField(default=dict, blank=True)

    objects = LogQuerySet.as_manager()

    class Meta:
        verbose_name = "log entry"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["number"], name="one_log_entry_per_place"),
            models.CheckConstraint(condition=models.Q(act__in=Act.values), name="known_act"),
        ]

    @property
    def facts(self) -> list[tuple[str, Any]]:
        """What else is known, by name, lists in words.

        In a template `detail.items` could be a fact of its own.
        """
        return [
            (
                name.replace("_", " "),
                ", ".join(map(str, value)) if isinstance(value, list) else value,
            )
            for name, value in self.detail.items()
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.person or 'the server'} {self.get_act_display()}"
