"""Precision and detection rate of an audit's methods, from people's judgments or outside votes."""

from __future__ import annotations

from typing import Any, get_args

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from audit.methods import name_method
from audit.templatetags.figures import fraction, interval, pvalue
from reviews.models import Policy
from reviews.plans import PlanRefusedError, plan_review
from reviews.policies import POLICY_HELP, PolicyError
from reviews.reports import PRECISION_TARGET, UnknownMethodError, curves
from reviews.truths import JUDGMENTS, UnknownTruthError
from scoring.intervals import IntervalMethod
from scoring.planner import Goal


class Command(AuditCommand):
    help = "Report every method's precision and detection rate with 95 % intervals."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument(
            "--truth",
            default=JUDGMENTS,
            metavar="NAME",
            help="judgments, votes:NAME, or judge:NAME (a judge model corrected by judgments)",
        )
        parser.add_argument("--policy", default=Policy.LENIENT.value, help=POLICY_HELP)
        parser.add_argument("--methods", nargs="+", metavar="METHOD", help="Default: all.")
        parser.add_argument(
            "--intervals",
            choices=get_args(IntervalMethod),
            default="wilson",
            help="How a precision's limits are made; korn_graubard errs on the wide side.",
        )
        parser.add_argument(
            "--target", type=float, default=PRECISION_TARGET, help="Precision that k shall keep."
        )
        parser.add_argument(
            "--plan", type=float, metavar="WIDTH", help="How many more verdicts this width takes."
        )
        parser.add_argument("--plan-for", choices=get_args(Goal), default="precision")
        parser.add_argument("--plan-k", type=int, metavar="K", help="Of the top K bins; all.")

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        if not audit.is_ready:
            raise CommandError(f"{audit} is {audit.state}; a report needs a ready audit")
        try:
            document = curves(
                audit,
                options["truth"],
                options["policy"],
                options["methods"],
                options["intervals"],
                options["target"],
                equal_detection=True,
            )
            if options["plan"] is not None:
                document["plan"] = plan_review(
                    audit,
                    options["truth"],
                    options["policy"],
                    options["plan"],
                    options["plan_for"],
                    options["plan_k"],
                )
        except (UnknownTruthError, PolicyError, UnknownMethodError, PlanRefusedError) as error:
            raise CommandError(str(error)) from error
        self.emit(options, document, write_report(document))


def write_report(document: dict[str, Any]) -> str:
    """Return the report as lines for people: one table per method, then the overlaps."""
    head = (
        f"truth: {document['truth']}, policy: {document['policy']}, "
        f"{document['judged']} of {document['items']} items judged, {document['errors']} errors, "
        f"{document['unsure']} unsure; detection rates are {document['kind']}"
    )
    lines = [head]
    if judge := document["judge"]:
        lines.append(
            f"{judge['source']} ({judge['model']}, prompt {judge['prompt']}) has a word on "
            f"{judge['items']:,} items, {judge['unsure']:,} unsure; its figures are corrected by "
            "people's, beside them: the judge alone, people alone"
        )
    if not document["judged"]:
        return "\n".join([*lines, *_write_sizes(document["methods"])])
    for method, described in document["methods"].items():
        lines.append(f"\n{name_method(method)}")
        lines.append("   set  flagged  judged  errors  precision            detection rate")
        lines += [_write_point(point) for point in described["points"]]
        if "trend" in described:
            lines += _write_choice_of_k(described)
    for pair in document["overlap"]:
        lines.append(f"\nA {name_method(pair['a'])}, B {name_method(pair['b'])}")
        lines += [
            f"  {cell.replace('_', ' '):>6}  {row['flagged']:>7}  {row['judged']:>6}  "
            f"{row['errors']:>6}  {_write_rate(row['precision'])}"
            for cell, row in pair["cells"].items()
        ]
        lines.append(f"  precision of A - B: {_write_rate(pair['difference'])}")
        lines += [
            f"  where both detect {row['rate']:.0%}: {_write_rate(row['difference'])}"
            for row in pair["at_detection_rate"]
        ]
    if "plan" in document:
        lines += _write_plan(document["plan"])
    return "\n".join(lines)


def _write_sizes(methods: dict[str, Any]) -> list[str]:
    """Return what is known before the first verdict: how many items each method flags."""
    return [
        "\nno verdict counts yet; flagged items:",
        *(f"  {each['points'][-1]['flagged']:>7,}  {name_method(name)}"
          for name, each in methods.items() if each["points"]),
    ]  # fmt: skip


def _write_choice_of_k(described: dict[str, Any]) -> list[str]:
    """Return the largest k that keeps the precision asked for, and whether precision falls."""
    largest, trend = described["largest_k"], described["trend"]
    lines = [f"  largest k for precision {largest['precision']:.2f}: {largest['k'] or 'none'}"]
    if trend["p_value"] is not None:
        lines.append(
            f"  precision per bin: {_write_rate(trend['slope'])}, "
            f"p {pvalue(trend['p_value'])} against not falling"
        )
    return lines


def _write_plan(plan: dict[str, Any]) -> list[str]:
    """Return how many more verdicts are needed, and the strata that need some."""
    rate = plan["goal"].replace("_", " ")
    head = (
        f"\n{plan['n_more']:,} more verdicts make the {rate} of the top {plan['k']} bins known "
        f"to {plan['width']}: now {_write_rate(plan['now'])}, then {_write_rate(plan['expected'])}"
    )
    rows = [
        f"  {row['more']:>6}  {row['stratum']} ({row['judged']} of {row['items']:,} judged)"
        for row in plan["strata"]
        if row["more"]
    ]
    return [head, *rows]


def _write_point(point: dict[str, Any]) -> str:
    name = f"k={point['k']}" if "k" in point else str(point["n"])
    return (
        f"{name:>6}  {point['flagged']:>7}  {point['judged']:>6}  {point['errors']:>6}  "
        f"{_write_rate(point['precision']):<19}  {_write_rate(point['detection_rate'])}"
        f"{_write_alone(point['precision'])}{_write_alone(point['detection_rate'])}"
    )


def _write_rate(rate: dict[str, Any]) -> str:
    if rate["estimate"] is None:
        return "n/a"
    return f"{fraction(rate['estimate'], 3)} [{interval(rate, 3)}]"


def _write_alone(rate: dict[str, Any]) -> str:
    """Return a judge's and people's own figures, where a judge has a part in the rate."""
    if "judge_only" not in rate:
        return ""
    alone = [rate["judge_only"], (rate["people_only"] or {}).get("estimate")]
    return f"  ({', '.join('n/a' if each is None else fraction(each, 3) for each in alone)})"
