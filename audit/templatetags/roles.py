"""Template filter for what a person may do in a project."""

from __future__ import annotations

from django import template
from django.contrib.auth.models import AbstractBaseUser

from audit.models import Project

register = template.Library()


@register.filter
def role_in(user: AbstractBaseUser, project: Project) -> int:
    """Return the user's role in the project (see `Role`), 0 for a stranger."""
    roles = project.memberships.filter(user=user.pk).values_list("role", flat=True)
    return roles.first() or 0
