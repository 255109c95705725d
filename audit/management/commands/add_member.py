"""Gives a person a role in a project; the only way an account comes to be."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.models import Membership, Project, Role


class Command(AuditCommand):
    help = "Give a person a role in a project. A new person gets a random password, shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--project", required=True)
        parser.add_argument("--role", choices=[role.label for role in Role], required=True)

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"no project named {options['project']!r}")
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
