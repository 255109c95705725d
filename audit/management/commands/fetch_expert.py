"""Downloads an expert's weights; everything else works offline."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.services.scores import models_folder
from scoring.experts.base import ExpertRefused, UnknownExpertError


class Command(AuditCommand):
    help = "Download timm weights at a pinned revision into the installation's models folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("expert", help="For example timm:resnet18.a1_in1k.")
        parser.add_argument("--revision", help="A commit of the hub's repository.")

    def handle(self, **options: Any) -> None:
        if not options["expert"].startswith("timm:") or "@" in options["expert"]:
            raise CommandError(f"only timm:NAME can be fetched, got {options['expert']!r}")
        # Here, not at the top: naming this command must not load the hub's client.
        from scoring.experts.timm_fetch import fetch_timm

        try:
            fetched = fetch_timm(options["expert"], models_folder(), revision=options["revision"])
        except (ExpertRefused, UnknownExpertError) as refusal:
            raise CommandError(str(refusal)) from refusal
        text = f"{fetched.path} from {fetched.repository} at {fetched.revision}"
        self.emit(options, asdict(fetched), text)
