"""Stop a measurement, and have one made after all that was stopped or has failed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from audit.models import Audit, Measurement, Role
from audit.services import claims

PAGES = {
    Measurement.Kind.CALIBRATORS: "audit:calibration",
    Measurement.Kind.CASCADE: "reviews:cascade",
    Measurement.Kind.SECOND_PASS: "reviews:second_pass",
}


@require_POST
def measurement_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a measurement; nothing is left of it but its order."""
    row = _find_measurement(request, pk)
    if claims.cancel(row):
        messages.success(request, "The measurement is cancelled.")
    else:
        messages.info(request, "There was nothing to cancel: it is no longer under way.")
    return redirect(PAGES[Measurement.Kind(row.kind)], row.audit_id)


@require_POST
def measurement_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a cancelled or failed measurement made; it begins anew, on the same judgments."""
    row = _find_measurement(request, pk)
    if claims.resume(row):
        messages.success(request, "The measurement is made again, from its beginning.")
    else:
        messages.info(request, "There was nothing to resume.")
    return redirect(PAGES[Measurement.Kind(row.kind)], row.audit_id)


def _find_measurement(request: HttpRequest, pk: int) -> Measurement:
    audits = Audit.objects.open_to(request.user, at_least=Role.MAINTAINER)
    return get_object_or_404(Measurement.objects.filter(audit__in=audits), pk=pk)
