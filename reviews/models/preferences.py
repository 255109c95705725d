"""How one person likes the desk: the same on every device."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reviews.models.judgments import Mode


class DeskPreference(models.Model):
    """One person's desk. An empty mode means: quick on phones, full elsewhere."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="desk_preference"
    )
    mode = models.CharField(max_length=5, choices=Mode.choices, blank=True)
    stops_at_reveal = models.BooleanField(default=False)
    keys = models.JSONField(
        default=dict, blank=True, help_text="Act -> key, where it isn't the usual one."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(mode__in=["", *Mode.values]), name="known_desk_mode"
            )
        ]

    def __str__(self) -> str:
        return f"desk of {self.user}"
