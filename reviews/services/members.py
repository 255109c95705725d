"""A member who leaves holds no items any more."""

from __future__ import annotations

from django.db import transaction

from audit.models import Membership
from audit.services.members import Person, end_membership
from reviews.models import ReviewSlot
from reviews.services.leases import open_slots


@transaction.atomic
def remove_member(membership: Membership, person: Person = None) -> int:
    """Let a member go and open what they were given to judge; return how many items that was."""
    end_membership(membership, person)
    held = ReviewSlot.objects.held_by(membership.user).order_by()
    return open_slots(held.filter(sample__audit__dataset__project=membership.project))
