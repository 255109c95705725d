"""Say what differs between two releases of an audit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from audit.models import Audit
from reviews.models import Release
from reviews.release_diffs import Moment, describe_differences
from reviews.services.releases import policy_of, snapshot_of


class Command(AuditCommand):
    help = "List the items that two releases of an audit give other labels."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("audit", type=int, help="The audit's number.")
        parser.add_argument("before", type=int, help="A release's number.")
        parser.add_argument("after", type=int, help="Another release's number.")

    def handle(self, **options: Any) -> None:
        audit = find_audit(options["audit"])
        before, after = (_find_moment(audit, options[name]) for name in ("before", "after"))
        document = {
            "audit": audit.pk,
            "before": options["before"],
            "after": options["after"],
            **describe_differences(audit, before, after),
        }
        moves = [(each["items"], each["from"], each["to"]) for each in document["moves"]]
        lines = [f"{document['items']:,} items differ"]
        lines += [f"{n:,}: {old} -> {new}".replace("_", " ") for n, old, new in moves]
        self.emit(options, document, "\n".join(lines))


def _find_moment(audit: Audit, number: int) -> Moment:
    release = Release.objects.filter(audit=audit, number=number).first()
    if release is None:
        there = Release.objects.filter(audit=audit).order_by("number")
        known = ", ".join(map(str, there.values_list("number", flat=True)))
        raise CommandError(f"{audit} has no release {number}; there are: {known or 'none'}")
    return Moment(policy_of(release), snapshot_of(release))
