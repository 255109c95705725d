"""The hash chain over what people decided: how a link is hashed, and where a chain is broken."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from reviews.models import Adjudication, Judgment, Release, Sample
from reviews.models.chains import Link

NOT_HASHED = {"id", "hash"}
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place at which a chain doesn't hold, and what is wrong there."""

    number: int
    row: str
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """How many links of an audit's chain were read, and the first that doesn't hold."""

    audit: int
    n_links: int
    fault: Fault | None


def hash_link(link: Link) -> str:
    """Return the SHA-256 of all that a row says. What is empty or false isn't written.

    So a column that is added later leaves the hashes of older rows as they are.
    """
    said: dict[str, Any] = {
        field.attname: getattr(link, field.attname)
        for field in link._meta.concrete_fields
        if field.attname not in NOT_HASHED
    }
    content = {
        name: value
        for name, value in said.items()
        if value is not None and value is not False and value != ""
    }
    content["table"] = link._meta.db_table
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_spell).encode()).hexdigest()


def _spell(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)


def read_chain(sample: Sample) -> Iterator[Link]:
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
    number, previous = 0, ""
    seen: set[str] = set()
    for link in read_chain(sample):
        number += 1
        reason = _find_fault(link, number, previous)
        if reason:
            return Check(sample.audit_id, number - 1, Fault(number, _name(link), reason))
        previous = link.hash
        seen.add(previous)
    return Check(sample.audit_id, number, _check_ends(sample, number, previous, seen))


def _find_fault(link: Link, number: int, previous: str) -> str:
    if link.number != number:
        missing = link.number - number
        return f"{missing} before it are missing" if missing > 0 else "its place is taken twice"
    if link.previous_hash != previous:
        return "it doesn't follow the row before it"
    return "" if link.hash == hash_link(link) else "it was changed"


def _check_ends(sample: Sample, number: int, last: str, seen: set[str]) -> Fault | None:
    if (sample.chain_length, sample.chain_hash) != (number, last):
        n_missing = sample.chain_length - number
        reason = f"{n_missing} rows at the end are missing" if n_missing > 0 else "the head differs"
        return Fault(number + 1, "the end", reason)
    releases = Release.objects.filter(audit=sample.audit_id, work=Release.Work.DONE)
    for release in releases.order_by("number"):
        for kind in ("judgment", "adjudication"):
            known = release.manifest.get(f"last_{kind}_sha256")
            if known and known not in seen:
                row = f"{kind} {release.manifest[f'last_{kind}']}"
                reason = f"it isn't the one that release {release.number} was built from"
                return Fault(0, row, reason)
    return None


def _name(link: Link) -> str:
    return f"{link._meta.verbose_name} {link.pk}"


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
