"""How a person likes the desk: stored per person, so that it is the same on every device."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from audit.models import Dataset
from reviews.desk_keys import acts_of, check_keys
from reviews.models import DeskPreference


def save_preference(user: User, dataset: Dataset, **changes: Any) -> DeskPreference:
    """Store what is named and leave the rest as it is, also the keys of the other kind of desk."""
    preference, _ = DeskPreference.objects.get_or_create(user=user)
    if "keys" in changes:
        here = {act.name for act in acts_of(dataset)}
        elsewhere = {name: key for name, key in preference.keys.items() if name not in here}
        changes["keys"] = check_keys(elsewhere | changes["keys"])
    for name, value in changes.items():
        setattr(preference, name, value)
    preference.save(update_fields=list(changes))
    return preference
