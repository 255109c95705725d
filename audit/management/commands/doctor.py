"""Looks the installation over and says what to do."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import CommandParser

from audit.checkup.database import check_clock, check_database
from audit.checkup.endpoints import check_endpoints
from audit.checkup.engine import (
    check_broker,
    check_evidence,
    check_probes,
    check_scores,
    check_workers,
)
from audit.checkup.findings import Finding, Level
from audit.checkup.installation import (
    check_files,
    check_libraries,
    check_score_store,
    check_settings,
    check_space,
)
from audit.management.base import AuditCommand

CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_settings,
    check_files,
    check_space,
    check_database,
    check_clock,
    check_broker,
    check_workers,
    check_probes,
    check_evidence,
    check_score_store,
    check_endpoints,
    check_libraries,
)
MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}


class Command(AuditCommand):
    help = "Check settings, database, engine, storage and versions, and say what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--scores", action="store_true", help="Also read every score and compare its hash."
        )

    def handle(self, **options: Any) -> None:
        checks = (*CHECKS, check_scores) if options["scores"] else CHECKS
        findings = [finding for check in checks for finding in check()]
        levels = Counter(finding.level for finding in findings)
        document = {
            "problems": levels[Level.PROBLEM],
            "warnings": levels[Level.WARNING],
            "findings": [finding.to_json() for finding in findings],
        }
        self.emit(options, document, as_text(findings))
        if levels[Level.PROBLEM]:
            sys.exit(1)


def as_text(findings: list[Finding]) -> str:
    """Return the report a person reads."""
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level]}  {finding.subject}: {finding.said}")
        if finding.advice:
            lines.append(f"{'':9}-> {finding.advice}")
    return "\n".join(lines)
