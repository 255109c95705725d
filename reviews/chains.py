"""The hash chain over what people decided in one audit, and where it is broken."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from audit.chains import ChainReader, Fault
from reviews.models import Adjudication, Judgment, Release, Sample
from reviews.models.chains import DecidedLink

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Check:
    """How many links of an audit's chain were read, and the first that doesn't hold."""

    audit: int
    n_links: int
    fault: Fault | None


def read_chain(sample: Sample) -> Iterator[DecidedLink]:
    """Yield every link of a sample's chain by its place, whatever table it is in."""
    judgments = Judgment.objects.filter(slot__sample=sample)
    adjudications = Adjudication.objects.filter(sampled_item__sample=sample)
    tables: list[QuerySet[Any]] = [judgments, adjudications]
    parts = [rows.order_by("number", "pk").iterator(chunk_size=CHUNK) for rows in tables]
    return heapq.merge(*parts, key=lambda link: (link.number, link._meta.db_table))


def check_chain(sample: Sample) -> Check:
    """Compare every link with what it says and with the one before it, up to the chain's head.

    Finished releases hold hashes outside the database's reach: they must still be in the chain.
    """
    reader = ChainReader()
    seen = {link.hash for link in reader.read(read_chain(sample))}
    reader.check_end(sample.chain_length, sample.chain_hash)
    return Check(sample.audit_id, reader.number, reader.fault or _check_releases(sample, seen))


def _check_releases(sample: Sample, seen: set[str]) -> Fault | None:
    releases = Release.objects.filter(audit=sample.audit_id, work=Release.Work.DONE)
    for release in releases.order_by("number"):
        for kind in ("judgment", "adjudication"):
            known = release.manifest.get(f"last_{kind}_sha256")
            if known and known not in seen:
                row = f"{kind} {release.manifest[f'last_{kind}']}"
                reason = f"it isn't the one that release {release.number} was built from"
                return Fault(0, row, reason)
    return None


def describe_checks(checks: list[Check]) -> list[dict[str, Any]]:
    """Return what was found as JSON."""
    return [
        {
            "audit": check.audit,
            "rows": check.n_links,
            "first_fault": check.fault
            and {
                "place": check.fault.number,
                "row": check.fault.row,
                "reason": check.fault.reason,
            },
        }
        for check in checks
    ]
