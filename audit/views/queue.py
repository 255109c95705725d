"""The queue explorer: what each method flags, narrowed by bin, class and agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from audit.class_titles import name_classes
from audit.evidence import Evidence, load_evidence
from audit.flag_counts import (
    AGREE,
    BIN,
    GIVEN,
    PROPOSED,
    Counts,
    choose,
    count_by,
    find_flag_counts,
)
from audit.forms import QueueForm
from audit.methods import CALIBRATED_ENSEMBLE, order_methods
from audit.models import Audit, Dataset, DatasetClass, Flag, Item
from audit.notices import write_notice
from audit.querysets import FlagQuerySet
from audit.queue_filters import FILTERS, ShownFilter
from audit.queue_narrowing import Wanted, narrow, within_bins
from audit.services.item_evidence import ExpertWord, expert_words
from audit.views.access import find_audit

PER_PAGE = 48


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """A class in a filter, with how many of the method's flags it has."""

    index: int
    name: str
    n_flags: int


@dataclass(frozen=True, slots=True)
class ShownFlag:
    """One flag with its classes' rows at hand."""

    flag: Flag
    given: DatasetClass | None
    proposed: DatasetClass | None


@dataclass(frozen=True, slots=True)
class ShownChoice:
    """One choice of a question: whether it is the given label, and how many experts chose it."""

    text: str
    is_given: bool
    n_experts: int


class RankPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Pages of flags without gaps in rank: the last one is found as fast as the first."""

    object_list: FlagQuerySet
    first_rank = 1

    def page(self, number: int | str) -> Page[Flag]:
        """Return a page by the ranks on it, without counting off those before it."""
        number = self.validate_number(number)
        start = self.first_rank + (number - 1) * self.per_page
        flags = self.object_list.filter(rank__gte=start, rank__lt=start + self.per_page)
        return Page(list(flags), number, self)


@require_GET
@vary_on_headers("HX-Request")
def queue(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one method's flags; an htmx request gets the part below the filters."""
    audit = find_audit(request, pk)
    methods = order_methods(audit.queue_counts)
    wanted = read_wanted(request, audit, methods)
    flags = audit.flags.of_method(wanted.method)
    counts = find_flag_counts(audit, wanted.method)
    results = _results(request, audit, narrow(audit, flags, wanted), counts, wanted)
    context = {"audit": audit, "wanted": wanted, **results}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "audit/_queue_results.html", context)
    labels = count_by(counts, GIVEN)
    proposals = count_by(counts, PROPOSED)
    classes = find_classes(audit, {*labels, *proposals})
    context |= {
        "methods": methods,
        "is_calibrated": CALIBRATED_ENSEMBLE in methods,
        "labels": name_choices(labels, classes),
        "proposals": name_choices(proposals, classes),
        "bins": range(1, wanted.n_bins + 1),
        "subjects": list_subjects(audit, flags),
        "filters": show_filters(request, audit),
    }
    return render(request, "audit/queue.html", context)


def _results(
    request: HttpRequest, audit: Audit, narrowed: FlagQuerySet, counts: Counts, wanted: Wanted
) -> dict[str, Any]:
    # Items are read for the page alone: joined, the database would find those before it too.
    flags = within_bins(narrowed, wanted).prefetch_related("item")
    paginator = Paginator(flags, PER_PAGE) if wanted.is_filtered else RankPaginator(flags, PER_PAGE)
    if wanted.is_counted:
        counts = choose(
            counts, {GIVEN: wanted.label, PROPOSED: wanted.proposed, AGREE: wanted.agree}
        )
        per_bin = count_by(counts, BIN)
        bins = range(wanted.k + 1) if wanted.bin is None else [wanted.bin]
        paginator.count = sum(per_bin.get(rank, 0) for rank in bins)
        if isinstance(paginator, RankPaginator):
            paginator.first_rank = 1 + sum(per_bin.get(rank, 0) for rank in range(1, bins[0]))
    else:
        per_bin = count_bins(narrowed) if wanted.n_bins else {}
    page = paginator.get_page(wanted.page)
    indices = {index for flag in page for index in (flag.item.given_label, flag.proposed_label)}
    return {
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "shown": list(show_flags(page, find_classes(audit, indices))),
        "counts_by_k": counts_by_k(per_bin, wanted.n_bins),
        "query": _query_without_page(request),
    }


@require_GET
@vary_on_headers("HX-Request")
def queue_item(request: HttpRequest, pk: int, item_pk: int) -> HttpResponse:
    """Show one item large, with every expert's evidence and every method's flag."""
    audit = find_audit(request, pk)
    item = get_object_or_404(audit.dataset.items, pk=item_pk)
    by_method = {flag.method: flag for flag in audit.flags.filter(item=item)}
    flags = [by_method[method] for method in order_methods(by_method)]
    evidence = _load_evidence(audit)
    indices = {item.given_label, *(flag.proposed_label for flag in flags)}
    if evidence is not None:
        indices |= {int(index) for index in evidence.top1[:, item.position]}
    classes = find_classes(audit, indices)
    words = list(expert_words(audit, item, evidence, classes)) if evidence else []
    context = {
        "audit": audit,
        "item": item,
        "choices": list(show_choices(item, words)),
        "notices": [write_notice(code) for code in item.notices],
        "given": classes.get(item.given_label),
        "flags": [ShownFlag(flag, None, classes.get(flag.proposed_label)) for flag in flags],
        "words": words,
    }
    template = "audit/_queue_item.html" if request.htmx else "audit/queue_item.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def read_wanted(request: HttpRequest, audit: Audit, methods: list[str]) -> Wanted:
    """Read the address. What makes no sense is left out: an old link still opens the queue."""
    form = QueueForm(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    method = chosen.get("method") or ""
    if method not in methods:
        method = methods[0] if methods else CALIBRATED_ENSEMBLE
    has_bins = method == CALIBRATED_ENSEMBLE
    n_bins = audit.n_bins if has_bins else 0
    return Wanted(
        method=method,
        n_bins=n_bins,
        k=min(chosen.get("k") or n_bins, n_bins),
        bin=chosen.get("bin") if has_bins else None,
        first=None if has_bins else chosen.get("n"),
        label=chosen.get("label"),
        proposed=chosen.get("proposed"),
        agree={"yes": True, "no": False}.get(chosen.get("agree") or ""),
        subject=chosen.get("subject") or None,
        added=tuple(
            (each.name, each.chosen) for each in show_filters(request, audit) if each.chosen
        ),
        page=chosen.get("page") or 1,
    )


def show_filters(request: HttpRequest, audit: Audit) -> list[ShownFilter]:
    """Return the filters of other apps; what they don't offer is not chosen."""
    shown = []
    for each in FILTERS.values():
        choices = each.choices(audit.dataset)
        said = request.GET.get(each.name, "")
        chosen = said if said in dict(choices) else ""
        shown.append(ShownFilter(each.name, each.label, choices, chosen))
    return shown


def count_bins(flags: FlagQuerySet) -> dict[int, int]:
    """Return how many of the flags lie in each bin."""
    return dict(flags.order_by().values_list("bin_rank").annotate(Count("pk")))


def counts_by_k(per_bin: dict[int, int], n_bins: int) -> list[int]:
    """Return how many of the flags lie in the top 1, 2, ... bins; empty without bins."""
    return list(accumulate(per_bin.get(rank, 0) for rank in range(1, n_bins + 1)))


def list_subjects(audit: Audit, flags: FlagQuerySet) -> list[tuple[str, int]]:
    """Return the subjects of the flagged questions with their flags; pictures have none."""
    if audit.dataset.kind != Dataset.Kind.MULTIPLE_CHOICE:
        return []
    rows = flags.order_by("item__subject").values_list("item__subject")
    counted = rows.annotate(n_flags=Count("pk"))
    return [(subject, n_flags) for subject, n_flags in counted if subject]


def find_classes(audit: Audit, indices: Iterable[int]) -> dict[int, DatasetClass]:
    """Return the classes with these indices."""
    found = audit.dataset.classes.filter(index__in=sorted(set(indices)))
    return {each.index: each for each in found}


def name_choices(counts: dict[int, int], classes: dict[int, DatasetClass]) -> list[ClassChoice]:
    """Return the classes of a filter, most flags first."""
    names = name_classes(classes)
    choices = [
        ClassChoice(index, names.get(index, f"class {index}"), n_flags)
        for index, n_flags in counts.items()
    ]
    return sorted(choices, key=lambda choice: (-choice.n_flags, choice.index))


def show_flags(page: Page[Flag], classes: dict[int, DatasetClass]) -> Iterator[ShownFlag]:
    """Join a page's flags with their classes."""
    for flag in page:
        yield ShownFlag(flag, classes.get(flag.item.given_label), classes.get(flag.proposed_label))


def show_choices(item: Item, words: Iterable[ExpertWord]) -> Iterator[ShownChoice]:
    """Join a question's choices with who says they are right."""
    said = Counter(word.top1.index for word in words if word.top1 is not None)
    for index, text in enumerate(item.choices):
        yield ShownChoice(text, index == item.given_label, said[index])


def _load_evidence(audit: Audit) -> Evidence | None:
    try:
        return load_evidence(audit.pk)
    except FileNotFoundError:
        return None  # the folder of state was moved without its arrays: the flags still show


def _query_without_page(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("page", None)
    return query.urlencode()
