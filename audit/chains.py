"""Hash chains: how a link is hashed, and where a chain doesn't hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audit.models import Link

NOT_HASHED = {"id", "hash"}


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place at which a chain doesn't hold, and what is wrong there."""

    number: int
    row: str
    reason: str


@dataclass(slots=True)
class ChainReader:
    """Reads the links of one chain in order, and stops at the first that doesn't hold."""

    number: int = 0
    previous: str = ""
    fault: Fault | None = None

    def read(self, links: Iterable[Link]) -> Iterable[Link]:
        """Yield each link that says what its hash covers and follows the one before."""
        for link in links:
            reason = _find_fault(link, self.number + 1, self.previous)
            if reason:
                row = f"{link._meta.verbose_name} {link.pk}"
                self.fault = Fault(self.number + 1, row, reason)
                return
            self.number, self.previous = link.number, link.hash
            yield link

    def check_end(self, length: int, last: str) -> None:
        """Compare the end with what the chain's head says of it."""
        if self.fault is None and (length, last) != (self.number, self.previous):
            n_missing = length - self.number
            lost = f"{n_missing} rows at the end are missing"
            self.fault = Fault(
                self.number + 1, "the end", lost if n_missing > 0 else "the head differs"
            )


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


def _find_fault(link: Link, number: int, previous: str) -> str:
    if link.number != number:
        missing = link.number - number
        return f"{missing} before it are missing" if missing > 0 else "its place is taken twice"
    if link.previous_hash != previous:
        return "it doesn't follow the row before it"
    return "" if link.hash == hash_link(link) else "it was changed"
