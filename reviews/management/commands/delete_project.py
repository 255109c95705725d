"""Remove a project in which nobody has judged anything yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.models import Project
from reviews.services.deletion import DeletionRefusedError, delete_project


class Command(AuditCommand):
    help = "Remove a project, its data sets, audits and scores, unless somebody has judged in it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("--yes", action="store_true", help="Really; there is no way back.")

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"no project named {options['project']!r}")
        if not options["yes"]:
            names = ", ".join(project.datasets.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"this removes {names or 'an empty project'}; say --yes to do it")
        try:
            n_rows = delete_project(project)
        except DeletionRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {"project": options["project"], "rows": n_rows}
        self.emit(options, document, f"{options['project']}: {n_rows:,} rows removed")
