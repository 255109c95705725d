"""Draw the items of an audit that people judge: the sampling ledger."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from reviews.ledgers import describe_sample, describe_strata
from reviews.services.sampling import SamplingError, freeze_sample, plan_strata, redraw_sample


class Command(AuditCommand):
    help = "Draw the stratified random sample of an audit that people judge."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument("--size", type=int, default=300, help="Flagged items to draw.")
        parser.add_argument("--unflagged", type=int, default=100, help="Unflagged items to add.")
        parser.add_argument("--votes-per-item", type=int, default=1)
        parser.add_argument(
            "--stratum-votes",
            action="append",
            default=[],
            metavar="STRATUM=V",
            help="Another number of votes for the items of one stratum; may be repeated.",
        )
        parser.add_argument(
            "--no-third-vote",
            action="store_true",
            help="Don't ask for one more vote on items whose two votes differ.",
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--revealed-share",
            type=float,
            default=0.0,
            help="Share of (item, annotator) pairs that see label and experts before judging.",
        )
        parser.add_argument(
            "--plan", action="store_true", help="Print the strata; draw and store nothing."
        )
        parser.add_argument(
            "--again", action="store_true", help="Discard a sample that nobody has judged yet."
        )

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        try:
            numbers = {
                "size": options["size"],
                "unflagged": options["unflagged"],
                "votes_per_item": options["votes_per_item"],
                "stratum_votes": read_votes(options["stratum_votes"]),
            }
            if options["plan"]:
                strata = describe_strata(plan_strata(audit, **numbers))
                return self.emit(options, {"strata": strata}, write_strata(strata))
            draw = redraw_sample if options["again"] else freeze_sample
            sample = draw(
                audit,
                **numbers,
                seed=options["seed"],
                revealed_share=options["revealed_share"],
                adds_third_vote=not options["no_third_vote"],
            )
        except SamplingError as error:
            raise CommandError(str(error)) from error
        document = describe_sample(sample)
        return self.emit(options, document, write_sample(document))


def read_votes(pairs: list[str]) -> dict[str, int]:
    """Return the votes per stratum's name from arguments like "unflagged=2"."""
    votes = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        if not name or not number.isdigit():
            raise SamplingError(f"{pair!r} is not STRATUM=V, a stratum's name and its votes")
        votes[name] = int(number)
    return votes


def write_sample(document: dict[str, Any]) -> str:
    """Return the ledger's figures as lines for people."""
    head = (
        f"{document['items']} items drawn from audit {document['audit']}, "
        f"{document['votes']} votes wanted, seed {document['seed']}"
    )
    return f"{head}\n{write_strata(document['strata'])}"


def write_strata(strata: list[dict[str, Any]]) -> str:
    """Return the strata as lines for people."""
    return "\n".join(
        f"  {row['drawn']:>5} of {row['population']:>7} x {row['votes_per_item']}  {row['name']}"
        for row in strata
    )
