"""Check everything that has a hash: verdicts, the log, scores, releases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError

from audit.management.base import AuditCommand
from reviews.proofs import Proof, prove_installation


class Command(AuditCommand):
    help = (
        "Verify every chain of verdicts, the log, every score and every release against its hash."
    )

    def handle(self, **options: Any) -> None:
        document, text = describe(prove_installation())
        if document["intact"] or options["json"]:
            self.emit(options, document, text)
        if not document["intact"]:
            raise CommandError(text)


def describe(proofs: Iterable[Proof]) -> tuple[dict[str, Any], str]:
    """Return what was found as JSON, and as lines for people: the faults, else what was checked."""
    found = list(proofs)
    faults = [f"{proof.subject}: {proof.fault}" for proof in found if proof.fault]
    counts = Counter(proof.kind for proof in found)
    names = {
        "verdicts": "chains of verdicts",
        "log": "log",
        "scores": "sets of scores",
        "release": "releases",
    }
    checked = ", ".join(f"{counts[kind]} {name}" for kind, name in names.items())
    document = {"intact": not faults, "checked": dict(counts), "faults": faults}
    return document, "\n".join(faults) or f"intact: {checked}"
