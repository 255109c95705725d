"""Which classes a method takes for which, pairs with their counts both ways; the list as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.class_titles import name_classes
from audit.methods import order_methods
from audit.models import Audit
from audit.querysets import FlagQuerySet
from audit.queue_narrowing import Wanted, narrow, within_bins
from audit.spreadsheets import neutralise
from audit.views.access import find_audit
from audit.views.queue import find_classes, read_wanted

MOST_PAIRS = 100
COLUMNS = ("rank", "key", "given_label", "proposed_label", "score", "bin", "experts_agree")
PAIR_COLUMNS = (
    *("one", "other", "one_name", "other_name"),
    *("one_to_other", "other_to_one", "flags"),
)
BATCH = 2000


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Two classes, and how many flags propose the second for the first and the first for it."""

    one: int
    other: int
    one_name: str
    other_name: str
    n_forth: int
    n_back: int

    @property
    def n_flags(self) -> int:
        return self.n_forth + self.n_back


@require_GET
def queue_pairs(request: HttpRequest, pk: int) -> HttpResponse:
    """Show which classes a method's flags take for which, the most frequent pairs first."""
    audit, wanted, flags = _find_flags(request, pk)
    context = {
        "audit": audit,
        "wanted": wanted,
        "methods": order_methods(audit.queue_counts),
        "pairs": list_pairs(audit, flags),
        "most_pairs": MOST_PAIRS,
    }
    return render(request, "audit/queue_pairs.html", context)


@require_GET
def queue_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Answer with the flags that the filters leave, in rank order."""
    audit, _, flags = _find_flags(request, pk)
    name = f"queue-{audit.pk}.csv"
    return StreamingHttpResponse(
        _write_rows(flags),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_GET
def queue_pairs_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the pairs that the page shows."""
    audit, _, flags = _find_flags(request, pk)
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="pairs-{audit.pk}.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow(PAIR_COLUMNS)
    for pair in list_pairs(audit, flags):
        names = (neutralise(name) for name in (pair.one_name, pair.other_name))
        counts = (pair.n_forth, pair.n_back, pair.n_flags)
        writer.writerow([pair.one, pair.other, *names, *counts])
    return response


def list_pairs(audit: Audit, flags: FlagQuerySet) -> list[ClassPair]:
    """Return unordered pairs of classes, most flags first; each flag counts in one direction."""
    rows = flags.order_by().values_list("item__given_label", "proposed_label")
    counts = {(given, proposed): n for given, proposed, n in rows.annotate(n=Count("pk"))}
    both_ways = {
        (given, proposed): (counts.get((given, proposed), 0), counts.get((proposed, given), 0))
        for given, proposed in (tuple(sorted(pair)) for pair in counts)
    }
    most = sorted(both_ways, key=lambda pair: (-sum(both_ways[pair]), pair))[:MOST_PAIRS]
    names = name_classes(find_classes(audit, {index for pair in most for index in pair}))
    return [
        ClassPair(
            one,
            other,
            names.get(one, f"class {one}"),
            names.get(other, f"class {other}"),
            *both_ways[one, other],
        )
        for one, other in most
    ]


def _find_flags(request: HttpRequest, pk: int) -> tuple[Audit, Wanted, FlagQuerySet]:
    audit = find_audit(request, pk)
    wanted = read_wanted(request, audit, order_methods(audit.queue_counts))
    flags = narrow(audit, audit.flags.of_method(wanted.method), wanted)
    return audit, wanted, within_bins(flags, wanted)


class _Line:
    """What ``csv.writer`` writes into: each line is handed on as it comes."""

    def write(self, line: str) -> str:
        return line


def _write_rows(flags: FlagQuerySet) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    rows: Any = flags.values_list(
        "rank", "item__key", "item__given_label", "proposed_label", "score", "bin_rank",
        "experts_agree",
    )  # fmt: skip
    for rank, key, *rest in rows.iterator(chunk_size=BATCH):
        yield writer.writerow([rank, neutralise(key), *rest])
