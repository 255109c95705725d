"""What links of an audit's chain have in common: when it was decided, and on which page."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.models import Link


class DecidedLink(Link):
    """A row of the chain that an audit's verdicts and adjudications make."""

    ui_version = models.CharField(
        max_length=20, blank=True, help_text="Of the page on which it was decided."
    )
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
