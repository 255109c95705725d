"""The cascade lab: order measurements of two experts as one, read them, take the table along."""

from __future__ import annotations

import csv
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from audit.models import Audit, Measurement
from audit.services.progress import engine_trouble
from audit.views.access import find_audit
from reviews.cascade_forms import CALIBRATORS, CascadeForm, find_score_sets, write_labels
from reviews.cascades import ROUTERS, Document
from reviews.routing_tables import write_routing_table
from reviews.services.measuring import order_cascade

SHOWN = 20
NAMES = {
    "CC": "calibrated advantage",
    "UC": "raw advantage",
    "RC": "random",
    "MF": "learned router",
    "oracle": "best possible",
}
HEADER = ("router", "small_ratio", "accuracy", "accuracy_low", "accuracy_high")


@require_http_methods(["GET", "POST"])
def cascade(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a measurement, the newest unless a number is asked for; a valid POST orders one."""
    audit = find_audit(request, pk)
    shown = find_measurement(request, audit)
    if request.method == "POST":
        form = CascadeForm(request.POST, audit=audit, user=request.user)
        if form.is_valid():
            person = cast("User", request.user)
            ordered = order_cascade(audit, form.order, form.other_dataset, person)
            address = reverse("reviews:cascade", args=[audit.pk])
            return redirect(f"{address}?wait={ordered.number}")
        context = _context(request, audit, shown, form)
        return render(request, "reviews/cascade.html", context, status=422)
    form = CascadeForm(audit=audit, user=request.user, initial=shown.order if shown else None)
    return render(request, "reviews/cascade.html", _context(request, audit, shown, form))


@require_GET
def cascade_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll; once the measurement waited for is there, lead to it."""
    audit = find_audit(request, pk)
    context = _list_context(request, audit)
    response = render(request, "reviews/_cascade_list.html", context)
    waited_for = next((row for row in context["rows"] if row.number == context["wait"]), None)
    if waited_for is not None and waited_for.is_ready:
        address = reverse("reviews:cascade", args=[audit.pk])
        response["HX-Redirect"] = f"{address}?number={waited_for.number}"
    return response


@require_GET
def cascade_data(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with a measurement as one JSON document."""
    return JsonResponse(_find_ready(request, find_audit(request, pk)).document)


@require_GET
def cascade_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with every point of every router as a table."""
    row = _find_ready(request, find_audit(request, pk))
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers=_as_file(f"cascade-{row.audit_id}-{row.number}.csv"),
    )
    writer = csv.writer(response)
    writer.writerow(HEADER)
    for router, points in row.document["curves"].items():
        for point in points:
            limits = (point.get("low"), point.get("high"))
            writer.writerow([router, point["small_ratio"], point["accuracy"], *limits])
    return response


@require_GET
def cascade_table(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with the routing table for use at inference time, at the k asked for."""
    row = _find_ready(request, find_audit(request, pk))
    k = request.GET.get("k", "")
    try:
        table = write_routing_table(row, int(k) if k else None)
    except ValueError as error:
        raise Http404(str(error)) from error
    headers = _as_file(f"routing-table-{row.audit_id}-{row.number}.json")
    return JsonResponse(table, headers=headers, json_dumps_params={"indent": 1})


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def find_measurement(request: HttpRequest, audit: Audit) -> Measurement | None:
    """Return the finished measurement that the address asks for, else the newest."""
    rows = audit.measurements.ready().filter(kind=Measurement.Kind.CASCADE).order_by("-number")
    number = request.GET.get("number", "")
    if number:
        return rows.filter(number=int(number)).first() if number.isdecimal() else None
    return rows.first()


def _find_ready(request: HttpRequest, audit: Audit) -> Measurement:
    row = find_measurement(request, audit)
    if row is None:
        raise Http404("no such measurement is finished")
    return row


def _context(
    request: HttpRequest, audit: Audit, shown: Measurement | None, form: CascadeForm
) -> dict[str, Any]:
    context = _list_context(request, audit) | {
        "form": form,
        "experts": find_score_sets(audit.dataset),
        "shown": shown,
        "is_missing": bool(request.GET.get("number")) and shown is None,
    }
    return context | _describe_shown(shown.document) if shown else context


def _describe_shown(document: Document) -> dict[str, Any]:
    settings = document["settings"]
    return {
        "found": document,
        "names": NAMES,
        "labels_name": write_labels(settings["labels"]),
        "calibrator_name": CALIBRATORS[settings["calibrator"]],
        "is_elsewhere": settings["dataset"] != settings["test_dataset"],
        "routers": [
            (name, NAMES[name], document["apgr"][name], document["ahead"].get(name))
            for name in ROUTERS
        ],
        "grid": tabulate_sweep(document["sweep"]),
        "bins": tabulate_bins(document["cascade"]),
        "comparison": compare_labels(document),
    }


def tabulate_sweep(sweep: list[Document]) -> dict[str, Any]:
    """Return the sweep as a table: a row per calibrator, a column per number of bins."""
    columns = sorted({row["bins"] for row in sweep})
    rows: dict[str, dict[int, Document]] = {}
    for row in sweep:
        rows.setdefault(row["calibrator"], {})[row["bins"]] = row["apgr"]
    return {
        "columns": columns,
        "rows": [
            (CALIBRATORS[name], [cells[column] for column in columns])
            for name, cells in rows.items()
        ],
    }


def tabulate_bins(cascade: Document) -> list[dict[str, Any]]:
    """Return the routing table's bins, the small model's first ones first."""
    advantage = cascade["advantage"]
    edges = [None, *cascade["edges"], None]
    order = sorted(range(len(advantage)), key=lambda place: (advantage[place], -place))
    return [
        {
            "low": edges[place],
            "high": edges[place + 1],
            "advantage": advantage[place],
            "is_small": level < cascade["k"],
        }
        for level, place in enumerate(order)
    ]


def compare_labels(document: Document) -> list[tuple[str, float, float, Document]]:
    """Return each accuracy by given and by the other labels, and what changed (Table 2)."""
    original = document["original"]
    if not original:
        return []
    names = {
        "small": document["settings"]["small"],
        "large": document["settings"]["large"],
        "best": "both, as a cascade",
    }
    before = {**original["models"], "best": original["best"]["accuracy"]}
    after = {**document["models"], "best": document["best"]["accuracy"]}
    return [
        (names[key], before[key], after[key], original["change"][key])
        for key in ("small", "large", "best")
    ]


def _list_context(request: HttpRequest, audit: Audit) -> dict[str, Any]:
    kind = Measurement.Kind.CASCADE
    rows = list(audit.measurements.filter(kind=kind).order_by("-number")[:SHOWN])
    is_measuring = any(row.is_under_way for row in rows)
    wait = request.GET.get("wait", "")
    number = request.GET.get("number", "")
    return {
        "audit": audit,
        "rows": rows,
        "is_measuring": is_measuring,
        "wait": int(wait) if wait.isdecimal() else 0,
        "number": int(number) if number.isdecimal() else 0,
        "trouble": engine_trouble() if is_measuring else None,
    }
