"""Freeze the items of an audit that people judge: the sampling ledger."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from reviews.models import Sample
from reviews.services.sampling import SamplingError, freeze_sample


class Command(AuditCommand):
    help = "Draw the stratified random sample of an audit that people judge, once per audit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument("--size", type=int, default=300, help="Flagged items to draw.")
        parser.add_argument("--unflagged", type=int, default=100, help="Unflagged items to add.")
        parser.add_argument("--votes-per-item", type=int, default=1)
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        try:
            sample = freeze_sample(
                audit,
                size=options["size"],
                unflagged=options["unflagged"],
                votes_per_item=options["votes_per_item"],
                seed=options["seed"],
            )
        except SamplingError as error:
            raise CommandError(str(error)) from error
        document = describe_sample(sample)
        self.emit(options, document, write_sample(document))


def describe_sample(sample: Sample) -> dict[str, Any]:
    """Return the ledger's figures as one JSON document."""
    return {
        "audit": sample.audit_id,
        "items": sample.n_items,
        "votes_per_item": sample.votes_per_item,
        "seed": sample.seed,
        "strata": [
            {
                "name": stratum.name,
                "flagged": stratum.is_flagged,
                "population": stratum.n_population,
                "drawn": stratum.n_drawn,
                "inclusion_probability": stratum.inclusion_probability,
            }
            for stratum in sample.strata.all()
        ],
    }


def write_sample(document: dict[str, Any]) -> str:
    """Return the ledger's figures as lines for people."""
    lines = [
        (
            f"{document['items']} items drawn from audit {document['audit']}, "
            f"{document['votes_per_item']} vote(s) each, seed {document['seed']}"
        )
    ]
    lines += [
        f"  {row['drawn']:>5} of {row['population']:>7}  {row['name']}"
        for row in document["strata"]
    ]
    return "\n".join(lines)
