"""What links of an audit's chain have in common: each row's hash covers the row before it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Link(models.Model):
    """A row that is only ever appended, with its place in the chain of its audit."""

    number = models.PositiveIntegerField(help_text="Its place in the chain, from 1.")
    previous_hash = models.CharField(max_length=64, help_text="The hash of the place before.")
    hash = models.CharField(
        max_length=64,
        unique=True,
        help_text="Of all that the row says, the previous hash included.",
    )
    ui_version = models.CharField(
        max_length=20, blank=True, help_text="Of the page on which it was decided."
    )
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
