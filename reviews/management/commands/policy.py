"""List a project's policies, print one as JSON, or store one's next version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.models import Project
from reviews.policies import PolicyError, ReleasePolicy, find_policy, list_policies
from reviews.services.releases import save_policy


class Command(AuditCommand):
    help = "List policies, print one, or store one's next version from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="Print this policy; without it, list all.")
        parser.add_argument("--project", default="default", help="The project's short name.")
        parser.add_argument("--set", type=Path, metavar="FILE", help="Store it from this JSON.")

    def handle(self, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"no project {options['project']!r}; there are: {known or 'none'}")
        try:
            if options["name"] is None:
                names = list_policies(project.pk)
                self.emit(options, {"policies": names}, "\n".join(names))
                return
            found = self._find(project, options)
        except PolicyError as refusal:
            raise CommandError(str(refusal)) from refusal
        document = {"name": found.name, "version": found.version, **found.describe()}
        self.emit(options, document, json.dumps(found.describe(), indent=2))

    def _find(self, project: Project, options: dict[str, Any]) -> ReleasePolicy:
        file: Path | None = options["set"]
        if file is None:
            return find_policy(options["name"], project.pk)
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}") from error
        except ValueError as error:
            raise CommandError(f"{file} is not JSON: {error}") from error
        return save_policy(project, options["name"], document)
