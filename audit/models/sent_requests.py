"""Requests that made something, by the key that their sender gave them."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SentRequest(models.Model):
    """One request that was done. Sent again, its key leads to what it made, and nothing is made.

    It refers to what it made by number alone: that may be removed, the key stays used.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sent_requests"
    )
    key = models.UUIDField()
    sha256 = models.CharField(max_length=64, help_text="Of where it was sent, and its body.")
    made = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="one_request_per_person_and_key")
        ]

    def __str__(self) -> str:
        return f"{self.key}"
