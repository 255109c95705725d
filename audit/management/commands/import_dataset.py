"""Brings a labelled data set in."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.input_files import keep_input
from audit.loaders import FORMATS, ImportRefused, load_dataset
from audit.management.base import AuditCommand
from audit.models import Project
from audit.services.datasets import DatasetRefusedError, store_dataset


class Command(AuditCommand):
    help = "Import a labelled data set; images that can't be used are quarantined with a reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="Name of the data set: letters, digits, - and _.")
        parser.add_argument("path", type=Path)
        parser.add_argument("--format", choices=sorted(FORMATS), required=True)
        parser.add_argument("--classes", type=Path, help="Class names, one per line.")
        parser.add_argument("--root", type=Path, help="Folder that image paths are relative to.")
        parser.add_argument("--split", help="Of several splits, the one whose rows become items.")
        parser.add_argument("--project", default="default", help="Created if there is none yet.")
        parser.add_argument("--notice", default="", help="A sentence every page must show.")

    def handle(self, **options: Any) -> None:
        if not options["slug"].replace("-", "").replace("_", "").isalnum():
            raise CommandError(f"a name has letters, digits, - and _ only: {options['slug']!r}")
        # Of millions of small objects that all stay, looking for garbage takes as long as the rest.
        gc.disable()
        try:
            loaded = load_dataset(
                options["format"],
                options["path"],
                classes_file=options["classes"],
                root=options["root"],
                split=options["split"],
            )
        except ImportRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        project, _ = Project.objects.get_or_create(
            slug=options["project"], defaults={"name": options["project"].replace("-", " ").title()}
        )
        try:
            dataset = store_dataset(
                project,
                options["slug"],
                options["format"],
                loaded,
                notice=options["notice"],
                on_progress=lambda done, total: self.progress(
                    f"checked {done:,} of {total:,} images", last=done == total
                ),
            )
        except DatasetRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        keep_input(dataset, options["path"])
        quarantined = dataset.items.quarantined()
        reasons = Counter(quarantined.values_list("quarantine_code", flat=True))
        noted = Counter(
            code
            for codes in dataset.items.exclude(notices=[]).values_list("notices", flat=True)
            for code in codes
        )
        document = {
            "dataset": dataset.slug,
            "items": dataset.n_items,
            "classes": dataset.n_classes,
            "quarantined": dataset.n_quarantined,
            "reasons": dict(reasons),
            "noted": dict(noted),
            "skipped": loaded.skipped,
            "notices": list(loaded.notices),
            "sha256": dataset.sha256,
        }
        classes = f" in {dataset.n_classes:,} classes" if dataset.has_classes else ""
        lines = [
            f"{dataset.slug}: {dataset.n_items:,} items{classes}",
            f"  quarantined: {dataset.n_quarantined:,}",
            *(f"  quarantined as {code}: {count:,}" for code, count in sorted(reasons.items())),
            *(f"  noted as {code}: {count:,}" for code, count in sorted(noted.items())),
            *(f"  skipped, {what}: {count:,}" for what, count in sorted(loaded.skipped.items())),
            *(f"  note: {notice}" for notice in loaded.notices),
        ]
        self.emit(options, document, "\n".join(lines))
