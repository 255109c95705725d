"""The sampling ledger as documents and tables: what was drawn, and with what probability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from audit.spreadsheets import neutralise
from reviews.models import Sample, Stratum

COLUMNS = (
    *("order", "key", "stratum", "stratum_items", "stratum_drawn"),
    *("inclusion_probability", "votes_per_item"),
)


def describe_sample(sample: Sample) -> dict[str, Any]:
    """Return the ledger's figures as one JSON document."""
    return {
        "audit": sample.audit_id,
        "items": sample.n_items,
        "votes": sample.n_votes,
        "votes_per_item": sample.votes_per_item,
        "revealed_share": sample.revealed_share,
        "seed": sample.seed,
        "drawn_at": sample.drawn_at.isoformat(),
        "frozen": sample.is_frozen,
        "strata": describe_strata(sample.strata.all()),
    }


def describe_strata(strata: Iterable[Stratum]) -> list[dict[str, Any]]:
    """Return the strata, drawn or planned, as JSON."""
    return [
        {
            "name": stratum.name,
            "flagged": stratum.is_flagged,
            "population": stratum.n_population,
            "drawn": stratum.n_drawn,
            "inclusion_probability": stratum.inclusion_probability,
            "votes_per_item": stratum.votes_per_item,
        }
        for stratum in strata
    ]


def ledger_rows(sample: Sample) -> Iterator[tuple[Any, ...]]:
    """Yield one row of COLUMNS per drawn item, in serving order, safe for a spreadsheet."""
    drawn = sample.items.drawn().select_related("item", "stratum").order_by("order")
    for row in drawn.iterator(chunk_size=2000):
        stratum = row.stratum
        if stratum is None:  # never, as `drawn` says
            continue
        yield (
            row.order,
            neutralise(row.item.key),
            stratum.name,
            stratum.n_population,
            stratum.n_drawn,
            stratum.inclusion_probability,
            stratum.votes_per_item,
        )
