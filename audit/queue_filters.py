"""Filters that other apps add to the queue explorer: what they know of items narrows its lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import Q

from audit.models import Audit, Dataset


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """A choice above the queue; ``condition`` turns a chosen value into one on an audit's flags."""

    name: str
    label: str
    choices: Callable[[Dataset], Sequence[tuple[str, str]]]
    condition: Callable[[Audit, str], Q]


@dataclass(frozen=True, slots=True)
class ShownFilter:
    """A filter with what it offers and what is chosen, "" for nothing."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]]
    chosen: str


FILTERS: dict[str, QueueFilter] = {}


def add_filter(added: QueueFilter) -> None:
    """Offer one more filter; an app says so when it is loaded."""
    FILTERS[added.name] = added
