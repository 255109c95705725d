"""Measure and calibrate an audit's experts once more, on cleaned labels."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from audit.score_store import ScoreStoreError
from reviews.cascade_experts import CascadeRefusedError
from reviews.evaluation_labels import CLEANED, UnknownLabelsError, freeze_labels
from reviews.models import Policy
from reviews.policies import POLICY_HELP, PolicyError
from reviews.second_pass import SecondOrder, measure_second_pass, write_second_pass
from scoring.expert_answers import ANSWER_CALIBRATORS


class Command(AuditCommand):
    help = "Measure every scored expert on given and on cleaned labels, and calibrate it on both."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument(
            "--labels",
            metavar="NAME",
            help="cleaned:AUDIT (the default, of this audit), release:AUDIT/NUMBER or votes:NAME",
        )
        parser.add_argument("--policy", default=Policy.LENIENT.value, help=POLICY_HELP)
        parser.add_argument("--calibrator", choices=ANSWER_CALIBRATORS, default="temperature")
        parser.add_argument("--bins", type=int, default=15)
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        if options["bins"] < 1:
            raise CommandError(f"the number of bins must be at least 1, got {options['bins']}")
        if options["seed"] < 0:
            raise CommandError(f"the seed must be 0 or more, got {options['seed']}")
        labels = options["labels"] or f"{CLEANED}{audit.pk}"
        try:
            order = SecondOrder(
                labels=labels,
                policy=options["policy"],
                calibrator=options["calibrator"],
                n_bins=options["bins"],
                seed=options["seed"],
                snapshot=freeze_labels(audit.dataset, labels),
            )
            document = measure_second_pass(
                audit, order, lambda done, n: self.progress(f"{done} of {n} experts")
            )
        except (CascadeRefusedError, PolicyError, UnknownLabelsError, ScoreStoreError) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.emit(options, document, "\n".join(write_second_pass(document)))
