"""Tokens by which scripts act for a person; of each secret there is only the hash."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from audit.models.projects import Project
from audit.querysets import ApiTokenQuerySet


class Scope(models.TextChoices):
    """What a token is good for, within what its person may do."""

    READ = "read", "read: data sets, audits, queues, reports"
    JUDGE = "judge", "judge: claim items and give verdicts"
    MANAGE = "manage", "manage: start and stop audits, draw samples, decide disputes"
    RELEASE = "release", "release: build releases and read their files"


class ApiToken(models.Model):
    """One secret of one person, good for some scopes until it expires or is revoked."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_tokens"
    )
    project = models.ForeignKey(
        Project,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="api_tokens",
        help_text="The only project it opens; none: every project of its person.",
    )
    name = models.CharField(max_length=80, help_text="What it is for.")
    scopes = models.JSONField()
    prefix = models.CharField(max_length=16, help_text="How the secret begins: tells tokens apart.")
    sha256 = models.CharField(max_length=64, unique=True, help_text="Of the secret.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @property
    def is_active(self) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and not self.is_expired

    @property
    def scope_names(self) -> list[str]:
        """Its scopes in one order, whatever the order in which they were asked for."""
        return [scope.value for scope in Scope if scope in self.scopes]
