"""Gives a person a role in a project; an installation's first account comes to be by it alone."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_slug

from audit.management.base import AuditCommand
from audit.models import Membership, Project, Role
from audit.services.members import MembershipRefusedError, add_member, change_role


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
        name, password = User.normalize_username(options["username"]), ""
        known = Membership.objects.filter(project=project, user__username=name)
        membership = known.select_related("user", "project").first()
        try:
            if membership is None:
                membership, password = add_member(project, name, role)
            else:
                change_role(membership, role)
        except MembershipRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        name = membership.user.get_username()
        document = {"username": name, "role": role.label, "password": password or None}
        secret = f", password {password}" if password else " (keeps the password)"
        self.emit(options, document, f"{name}: {role.label} of {project.slug}{secret}")


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
