"""Say what differs between two releases of an audit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.base import AuditCommand, find_audit
from audit.models import Audit
from reviews.models import Release
from reviews.release_diffs import Difference, Moment, count_moves, find_differences
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
        differences = find_differences(audit, before, after)
        moves = count_moves(differences)
        keys = dict(
            audit.dataset.items.filter(
                position__in=[each.position for each in differences[:500]]
            ).values_list("position", "key")
        )
        document = {
            "audit": audit.pk,
            "before": options["before"],
            "after": options["after"],
            "items": len(differences),
            "moves": [{"from": old, "to": new, "items": n} for old, new, n in moves],
            "shown": [_describe(each, keys) for each in differences[:500]],
        }
        lines = [f"{len(differences):,} items differ"]
        lines += [f"{n:,}: {old} -> {new}".replace("_", " ") for old, new, n in moves]
        self.emit(options, document, "\n".join(lines))


def _find_moment(audit: Audit, number: int) -> Moment:
    release = Release.objects.filter(audit=audit, number=number).first()
    if release is None:
        there = Release.objects.filter(audit=audit).order_by("number")
        known = ", ".join(map(str, there.values_list("number", flat=True)))
        raise CommandError(f"{audit} has no release {number}; there are: {known or 'none'}")
    return Moment(policy_of(release), snapshot_of(release))


def _describe(difference: Difference, keys: dict[int, str]) -> dict[str, Any]:
    before, after = difference.labels()
    return {"key": keys[difference.position], "before": before, "after": after}
