"""How a person likes the desk: stored per person, so that it is the same on every device."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from reviews.models import DeskPreference


def save_preference(user: User, **changes: Any) -> DeskPreference:
    """Store what is named and leave the rest as it is."""
    preference, _ = DeskPreference.objects.update_or_create(user=user, defaults=changes)
    return preference
