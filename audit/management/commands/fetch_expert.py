"""Downloads an expert's weights; everything else works offline."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand
from audit.services.scores import models_folder
from scoring.experts.base import ExpertRefused, UnknownExpertError


class Command(AuditCommand):
    help = (
        "Download timm weights or a transformers model at a pinned revision into the "
        "installation's models folder."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("expert", help="timm:NAME or transformers:OWNER/MODEL.")
        parser.add_argument("--revision", help="A commit of the hub's repository.")

    def handle(self, **options: Any) -> None:
        name, revision = options["expert"], options["revision"]
        if not name.startswith(("timm:", "transformers:")) or "@" in name or "," in name:
            message = f"only timm:NAME and transformers:OWNER/MODEL can be fetched, got {name!r}"
            raise CommandError(message)
        # Here, not at the top: naming this command must not load the hub's client.
        from scoring.experts.timm_fetch import fetch_timm
        from scoring.experts.transformers_fetch import fetch_transformers

        fetch = fetch_timm if name.startswith("timm:") else fetch_transformers
        try:
            fetched = fetch(name, models_folder(), revision=revision)
        except (ExpertRefused, UnknownExpertError) as refusal:
            raise CommandError(str(refusal)) from refusal
        text = f"{fetched.path} from {fetched.repository} at {fetched.revision}"
        self.emit(options, asdict(fetched), text)
