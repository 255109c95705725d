"""What narrows an audit's queue, whoever asks: the page, its table, the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.models import Audit
from audit.querysets import FlagQuerySet
from audit.queue_filters import FILTERS


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flags the page shows: a method, and what narrows it. None = not narrowed."""

    method: str
    n_bins: int
    k: int
    bin: int | None
    first: int | None
    label: int | None
    proposed: int | None
    agree: bool | None
    subject: str | None
    added: tuple[tuple[str, str], ...]
    page: int

    @property
    def is_narrowed(self) -> bool:
        """Whether any filter but k is set."""
        return bool(self.added) or any(
            value is not None
            for value in (self.bin, self.first, self.label, self.proposed, self.agree, self.subject)
        )

    @property
    def is_filtered(self) -> bool:
        """Whether places of the queue are missing between the first and the last one shown."""
        filters = (self.label, self.proposed, self.agree, self.subject)
        return bool(self.added) or any(value is not None for value in filters)

    @property
    def is_counted(self) -> bool:
        """Whether the kept counts tell how many flags there are."""
        return not self.added and self.first is None and self.subject is None


def narrow(audit: Audit, flags: FlagQuerySet, wanted: Wanted) -> FlagQuerySet:
    """Apply every filter but the bins."""
    conditions: dict[str, Any] = {
        "item__given_label": wanted.label,
        "proposed_label": wanted.proposed,
        "experts_agree": wanted.agree,
        "item__subject": wanted.subject,
    }
    added = [FILTERS[name].condition(audit, value) for name, value in wanted.added]
    narrowing = {name: value for name, value in conditions.items() if value is not None}
    return flags.filter(*added, **narrowing)


def within_bins(flags: FlagQuerySet, wanted: Wanted) -> FlagQuerySet:
    """Keep the top k bins, or the one bin asked for; of a ranking its first n."""
    if wanted.first is not None:
        return flags.first_places(wanted.first)
    if wanted.bin is not None:
        return flags.filter(bin_rank=wanted.bin)
    return flags.within_top(wanted.k) if wanted.k < wanted.n_bins else flags
