"""Check the hash chain over people's verdicts: what was changed, removed or slipped in is named."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from reviews.chains import Check, check_chain, describe_checks
from reviews.models import Sample


class Command(AuditCommand):
    help = "Verify that no verdict was changed or removed behind the site's back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, nargs="?", help="The audit's number; else all.")

    def handle(self, **options: Any) -> None:
        samples = Sample.objects.order_by("audit")
        if options["audit"] is not None:
            samples = samples.filter(audit=find_audit(options["audit"]))
        checks = [check_chain(sample) for sample in samples]
        broken = [check for check in checks if check.fault]
        if options["json"] or not broken:
            self.emit(
                options, {"intact": not broken, "audits": describe_checks(checks)}, write(checks)
            )
        if broken:
            raise CommandError(write(broken))


def write(checks: list[Check]) -> str:
    """Return what was found as lines for people."""
    lines = []
    for check in checks:
        head = f"audit {check.audit}: "
        if check.fault:
            place, row, reason = check.fault.number, check.fault.row, check.fault.reason
            lines.append(f"{head}broken at place {place}, {row}: {reason}")
        else:
            lines.append(f"{head}{check.n_links} rows, intact")
    return "\n".join(lines) or "nobody has judged anything yet"
