"""Gives a person a role in a project; the only way an account comes to be."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_slug

from audit.management.base import AuditCommand
from audit.models import Membership, Project, Role


class Command(AuditCommand):
    help = (
        "Give a person a role in a project; the first project there is comes to be by it. "
        "A new person gets a random password, shown once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--project", required=True)
        parser.add_argument("--role", choices=[role.label for role in Role], required=True)

    def handle(self, **options: Any) -> None:
        project = find_or_found_project(options["project"])
        role = next(role for role in Role if role.label == options["role"])
        user, is_new = User.objects.get_or_create(username=options["username"])
        password = secrets.token_urlsafe(12) if is_new else ""
        if is_new:
            user.set_password(password)
            user.save(update_fields=["password"])
        Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
        document = {"username": user.username, "role": role.label, "password": password or None}
        secret = f", password {password}" if is_new else " (keeps the password)"
        self.emit(options, document, f"{user.username}: {role.label} of {project.slug}{secret}")


def find_or_found_project(slug: str) -> Project:
    """Return the project; on a fresh installation it is made, so that somebody can log in at all.

    Later on a name that isn't known is a slip of the pen.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is not None:
        return project
    if Project.objects.exists():
        known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True))
        raise CommandError(f"no project named {slug!r}; known: {known}")
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise CommandError(f"project {slug!r}: {' '.join(error.messages)}") from error
    return Project.objects.create(slug=slug, name=slug.replace("-", " ").title())
