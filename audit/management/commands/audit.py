"""Runs an audit: experts, calibration, queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.local_engine import work_until
from audit.management.base import AuditCommand, find_dataset
from audit.models import Audit
from audit.services.audits import AuditRefusedError, set_urgent, start_audit
from audit.services.progress import expert_progress
from audit.services.summary import describe_audit


class Command(AuditCommand):
    help = "Audit a data set by two or more experts; missing scores are made first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dataset")
        parser.add_argument("--experts", nargs="+", required=True, metavar="EXPERT")
        parser.add_argument("--bins", type=int, default=15)
        parser.add_argument(
            "--bins-over", choices=Audit.BinsOver.values, default=Audit.BinsOver.DISPUTED
        )
        parser.add_argument(
            "--calibrator", choices=Audit.Calibrator.values, default=Audit.Calibrator.TEMPERATURE
        )
        parser.add_argument("--require-agreement", action="store_true")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--urgent", action="store_true", help="Score its items before everybody else's."
        )
        parser.add_argument(
            "--wait", action="store_true", help="Work here until ready; needs no running worker."
        )

    def handle(self, **options: Any) -> None:
        try:
            audit = start_audit(
                find_dataset(options["dataset"]),
                options["experts"],
                n_bins=options["bins"],
                bins_over=options["bins_over"],
                calibrator=options["calibrator"],
                require_agreement=options["require_agreement"],
                seed=options["seed"],
                from_anywhere=True,
            )
        except AuditRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        if options["urgent"]:
            set_urgent(audit, is_urgent=True)
        if options["wait"]:
            work_until(lambda: self._is_over(audit))
            if not audit.is_ready:
                raise CommandError(f"{audit}: {audit.state}: {audit.error}")
        document = describe_audit(audit)
        self.emit(options, document, as_text(audit, document))

    def _is_over(self, audit: Audit) -> bool:
        audit.refresh_from_db()
        parts = [f"{each.name} {each.done:,}/{each.total:,}" for each in expert_progress(audit)]
        self.progress(f"{audit.state}: {', '.join(parts)}", last=not audit.is_under_way)
        return not audit.is_under_way


def as_text(audit: Audit, document: dict[str, Any]) -> str:
    """Return the summary a person reads."""
    lines = [f"audit {audit.pk}: {audit.state}, {document['items']:,} items"]
    for expert in document["experts"]:
        if not expert["calibrator"]:
            continue
        ece = expert["ece"]
        fitted = expert["degenerate"] or "; ".join(
            f"{half}: {_write_fit(fit)}" for half, fit in expert["parameters"].items()
        )
        shown = {name: "-" if value is None else f"{value:.4f}" for name, value in ece.items()}
        lines.append(
            f"  {expert['name']}: accuracy {expert['accuracy']:.4f}, {fitted}, "
            f"ECE {shown['b_before']} -> {shown['b_after']} on the held-out half"
        )
    if audit.is_ready:
        lines.append(f"  disputed by every expert: {document['disputed']:,}")
        for method, count in document["queues"].items():
            number = count if isinstance(count, int) else (count[-1] if count else 0)
            lines.append(f"  {method}: {number:,} flagged")
    return "\n".join(lines)


def _write_fit(fit: Mapping[str, float | Sequence[float]]) -> str:
    """Return fitted numbers as they are, and of tables how many rows they have."""
    return ", ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{len(value)} {name}"
        for name, value in fit.items()
    )
