"""How far annotators agree with each other and with what is known."""

from __future__ import annotations

import csv
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.models import Audit
from audit.spreadsheets import neutralise
from audit.views.access import find_audit
from reviews.agreement_page import describe_audit_agreement, table_rows
from reviews.comparison_page import Choice
from reviews.models import Policy, Sample


@require_GET
def agreement(request: HttpRequest, pk: int) -> HttpResponse:
    """Show agreement, confusion and gold; corrected precision only when asked for."""
    audit = find_audit(request, pk)
    policy, corrected = read_wanted(request)
    document = _describe(audit, policy, corrected=corrected)
    context = {
        "audit": audit,
        "sample": Sample.objects.filter(audit=audit).first(),
        "agreement": document,
        "corrected": corrected,
        "query": urlencode({"policy": policy, **({"corrected": 1} if corrected else {})}),
        "policies": [
            Choice(each.value, urlencode({"policy": each.value}), each == policy) for each in Policy
        ],
    }
    return render(request, "reviews/agreement.html", context)


@require_GET
def agreement_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with every figure of the page as a table."""
    audit = find_audit(request, pk)
    policy, corrected = read_wanted(request)
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="agreement-{pk}-{policy}.csv"'},
    )
    writer = csv.writer(response)
    for row in table_rows(_describe(audit, policy, corrected=corrected)):
        writer.writerow([neutralise(cell) if isinstance(cell, str) else cell for cell in row])
    return response


def read_wanted(request: HttpRequest) -> tuple[str, bool]:
    """Read policy and correction from the address."""
    policy = request.GET.get("policy", "")
    known = policy if policy in Policy.values else Policy.LENIENT.value
    return known, request.GET.get("corrected") == "1"


def _describe(audit: Audit, policy: str, *, corrected: bool) -> dict[str, Any]:
    if not audit.is_ready:
        return {"annotators": 0, "votes": 0, "coefficients": [], "pairs": [], "gold": [],
                "categories": {"names": [], "rows": []}, "trainings": [], "can_correct": False,
                "corrected": None, "policy": policy}  # fmt: skip
    return describe_audit_agreement(audit, policy, corrected=corrected)
