"""Takes a person's role in a project away, or closes the account altogether."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.models import Membership
from audit.services.members import MembershipRefusedError, close_account
from reviews.services.members import remove_member


class Command(AuditCommand):
    help = "Let a member of a project go, or close an account; what they judged stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--project", help="Left out: close the account, in all projects.")

    def handle(self, **options: Any) -> None:
        name, slug = options["username"], options["project"]
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"no account named {name!r}")
        try:
            if slug is None:
                close_account(user)
                self.emit(options, {"username": name, "closed": True}, f"{name}: account closed")
                return
            members = Membership.objects.filter(user=user, project__slug=slug)
            membership = members.select_related("user", "project").first()
            if membership is None:
                raise CommandError(f"{name} is no member of {slug!r}")
            n_opened = remove_member(membership)
        except MembershipRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {"username": name, "project": slug, "opened": n_opened}
        self.emit(
            options, document, f"{name}: no member of {slug} any more, {n_opened} items opened"
        )
