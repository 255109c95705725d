"""Two experts as one: the small one answers what it can, the large one the rest."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_dataset
from audit.score_store import ScoreStoreError
from audit.templatetags.figures import pvalue
from reviews.cascade_experts import CascadeRefusedError
from reviews.cascade_halves import Order
from reviews.cascades import describe_cascade, sweep_cascade
from reviews.evaluation_labels import GIVEN, UnknownLabelsError
from reviews.models import Policy
from reviews.policies import POLICY_HELP, PolicyError
from scoring.expert_answers import ANSWER_CALIBRATORS

SWEPT = ("CC", "UC", "RC", "MF")
NAMES = {
    "CC": "calibrated advantage",
    "UC": "raw advantage",
    "RC": "random",
    "MF": "learned (matrix factorisation)",
    "oracle": "best possible",
}


class Command(AuditCommand):
    help = "Measure a cascade of two scored experts on the half of the items it wasn't fitted on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--small", required=True, metavar="EXPERT")
        parser.add_argument("--large", required=True, metavar="EXPERT")
        parser.add_argument(
            "--calibrator",
            choices=ANSWER_CALIBRATORS,
            help="Default: temperature; platt for scores of whole answers.",
        )
        parser.add_argument("--bins", type=int, default=15)
        parser.add_argument(
            "--labels",
            default=GIVEN,
            metavar="NAME",
            help="given, cleaned:AUDIT, release:AUDIT/NUMBER or votes:NAME",
        )
        parser.add_argument("--policy", default=Policy.LENIENT.value, help=POLICY_HELP)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--test-dataset",
            metavar="DATASET",
            help="Fit on the first data set as ever, measure on all of this one.",
        )

        parser.add_argument(
            "--sweep",
            action="store_true",
            help="Repeat for every calibrator with 5, 15, 50 and 100 bins.",
        )

    def handle(self, **options: Any) -> None:
        if options["bins"] < 1:
            raise CommandError(f"the number of bins must be at least 1, got {options['bins']}")
        if options["seed"] < 0:
            raise CommandError(f"the seed must be 0 or more, got {options['seed']}")
        other = options["test_dataset"] and find_dataset(options["test_dataset"])
        dataset = find_dataset(options["dataset"])
        order = Order(
            small=options["small"],
            large=options["large"],
            calibrator=options["calibrator"],
            n_bins=options["bins"],
            labels=options["labels"],
            policy=options["policy"],
            seed=options["seed"],
        )
        try:
            document = describe_cascade(dataset, order, other)
            if options["sweep"]:
                document["sweep"] = sweep_cascade(dataset, order, other)
        except (CascadeRefusedError, PolicyError, UnknownLabelsError, ScoreStoreError) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.emit(options, document, write_cascade(document))


def write_cascade(document: dict[str, Any]) -> str:
    """Return the figures as lines for people: warnings first, then models, routers and curves."""
    settings, models, best = document["settings"], document["models"], document["best"]
    lines = [f"warning: {each}" for each in document["warnings"]]
    lines += [f"note: {each}" for each in document["notes"]]
    lines.append(
        f"{document['items']['validation']:,} items to fit on, {document['items']['test']:,} to "
        f"measure on; labels: {settings['labels']}, calibrator: {settings['calibrator']}, "
        f"{settings['bins']} bins"
    )
    lines.append(
        f"accuracy: {models['small']:.4f} ({settings['small']}, small), "
        f"{models['large']:.4f} ({settings['large']}, large)"
    )
    lines.append(
        f"best cascade, chosen on the fitting half: {best['accuracy']:.4f} with "
        f"{best['small_ratio']:.1%} answered by the small model, "
        f"p {pvalue(best['p_value'])} against the better model alone"
    )
    large = best["against_large"]
    lines.append(
        f"against the large model alone: {large['estimate']:+.4f} "
        f"[{large['low']:+.4f}, {large['high']:+.4f}], p {pvalue(large['p_value'])}"
    )
    if document["original"]:
        lines += ["", *_write_original(document)]
    lines += ["", "average performance gap recovered (random: 0.5)"]
    for name, apgr in document["apgr"].items():
        words = "" if "undefined" in apgr else f"  {NAMES[name]}"
        lines.append(f"  {name:<6}  {write_apgr(apgr)}{words}")
    for name, ahead in document["ahead"].items():
        lines.append(
            f"  CC is ahead of {name} by {ahead['estimate']:+.4f} "
            f"[{ahead['low']:+.4f}, {ahead['high']:+.4f}]"
        )
    if "sweep" in document:
        lines += ["", "the same for CC by calibrator and number of bins"]
    for row in document.get("sweep", []):
        lines.append(f"  {row['calibrator']:<11}  {row['bins']:>3}  {write_apgr(row['apgr'])}")
    lines += ["", "share answered by the small model, and accuracy"]
    lines.append("   k  " + "  ".join(f"{name:^15}" for name in SWEPT))
    curves = [document["curves"][name] for name in SWEPT]
    for k, points in enumerate(zip_longest(*curves)):
        cells = [
            f"{point['small_ratio']:6.1%}  {point['accuracy']:.4f} " if point else " " * 15
            for point in points
        ]
        lines.append(f"{k:>4}  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _write_original(document: dict[str, Any]) -> list[str]:
    """Return the accuracies of the same items by both kinds of labels (Table 2)."""
    original, models = document["original"], document["models"]
    before = {**original["models"], "best": original["best"]["accuracy"]}
    after = {**models, "best": document["best"]["accuracy"]}
    lines = [f"accuracy of the same items by given labels and by {document['settings']['labels']}"]
    for name, change in original["change"].items():
        lines.append(
            f"  {name:<6}  {before[name]:.4f} -> {after[name]:.4f}  {change['estimate']:+.4f} "
            f"[{change['low']:+.4f}, {change['high']:+.4f}]"
        )
    return lines


def write_apgr(apgr: dict[str, Any]) -> str:
    """Return the number with its limits, or why there is none."""
    if "undefined" in apgr:
        return f"undefined: {apgr['undefined']}"
    return f"{apgr['estimate']:.4f} [{apgr['low']:.4f}, {apgr['high']:.4f}]"
