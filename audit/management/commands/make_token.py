"""Makes an API token for a person; its secret is printed once and kept nowhere."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.models import Project, Scope
from audit.services.api_tokens import USUAL_DAYS, TokenRefusedError, make_token


class Command(AuditCommand):
    help = "Make an API token for a person. Its secret is printed this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="What it is for.")
        parser.add_argument(
            "--scopes", nargs="+", choices=Scope.values, default=[Scope.READ.value], metavar="SCOPE"
        )
        parser.add_argument("--project", help="The only project it opens; else all of theirs.")
        parser.add_argument("--days", type=int, default=USUAL_DAYS, help="Until it expires.")

    def handle(self, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"no active person {options['username']!r}")
        project = None
        if options["project"] is not None:
            project = Project.objects.filter(slug=options["project"]).first()
            if project is None:
                raise CommandError(f"no project named {options['project']!r}")
        try:
            token, secret = make_token(
                user, options["name"], options["scopes"], project=project, days=options["days"]
            )
        except TokenRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {
            "username": user.username,
            "name": token.name,
            "scopes": token.scope_names,
            "project": project.slug if project else None,
            "expires_at": token.expires_at.isoformat(),
            "token": secret,
        }
        self.emit(options, document, f"{secret}\n(shown this once; until {token.expires_at:%F})")
