"""What all our commands share: one JSON document or human text, refusals with exit code 1."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.models import Audit, Dataset


class AuditCommand(BaseCommand):
    """A command that prints human text, or with --json one document on stdout.

    Progress goes to stderr. Exit codes: 0 done, 1 refused or failed with a reason, 2 usage.
    """

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--json", action="store_true", help="Print one JSON document instead of text."
        )
        return parser

    def emit(self, options: dict[str, Any], document: dict[str, Any], text: str) -> None:
        """Print the result in the form that was asked for."""
        self.stdout.write(json.dumps(document, ensure_ascii=False) if options["json"] else text)

    def progress(self, text: str, *, last: bool = False) -> None:
        """Show progress on stderr, one line that is written over where it's a terminal."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="\n" if last else "")
        elif last:
            self.stderr.write(text)


def find_dataset(slug: str) -> Dataset:
    """Return the data set of that name, or stop with the names there are."""
    dataset = Dataset.objects.filter(slug=slug).first()
    if dataset is None:
        known = ", ".join(Dataset.objects.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"no data set named {slug!r}; there are: {known or 'none yet'}")
    return dataset


def find_audit(number: int) -> Audit:
    """Return the audit of that number, or stop with the numbers there are."""
    audit = Audit.objects.select_related("dataset").filter(pk=number).first()
    if audit is None:
        known = ", ".join(
            str(pk) for pk in Audit.objects.order_by("-pk").values_list("pk", flat=True)[:20]
        )
        raise CommandError(f"no audit {number}; there are: {known or 'none yet'}")
    return audit
