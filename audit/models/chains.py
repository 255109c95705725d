"""What the links of every hash chain have in common: each row's hash covers the row before it."""

from __future__ import annotations

from django.db import models


class Link(models.Model):
    """A row that is only ever appended, with its place in its chain."""

    number = models.PositiveIntegerField(help_text="Its place in the chain, from 1.")
    previous_hash = models.CharField(max_length=64, help_text="The hash of the place before.")
    hash = models.CharField(
        max_length=64,
        unique=True,
        help_text="Of all that the row says, the previous hash included.",
    )

    class Meta:
        abstract = True
