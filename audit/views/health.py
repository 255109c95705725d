"""Pages for machines: is the process there, can it work, and the figures that a monitor keeps."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit.checkup.findings import Level
from audit.checkup.gauges import Gauge, write_gauges
from audit.checkup.readiness import recent_look, worst
from audit.redaction import clean_error

LOOPBACK = {"127.0.0.1", "::1"}
# Whatever a proxy on this very host adds: behind one, everybody comes from the loopback.
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
FORWARDED_START = "HTTP_X_FORWARDED_"
STATUS = {Level.OK: "ready", Level.WARNING: "degraded", Level.PROBLEM: "not ready"}


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this web process answers; looks at nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Say whether pages can be served: 200, or 503 with the names of what is in the way.

    What is degraded doesn't take the site out of service: people go on judging while Redis or all
    workers are away. Why something fails is told to monitors alone.
    """
    findings = recent_look()
    level = worst(findings)
    document = {
        "status": STATUS[level],
        "checks": {finding.subject: finding.level.value for finding in findings},
    }
    if is_monitor(request):
        document["reasons"] = {
            finding.subject: clean_error(finding.said)
            for finding in findings
            if finding.level != Level.OK
        }
    return JsonResponse(document, status=503 if level == Level.PROBLEM else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the figures for Prometheus; for everybody else there is nothing here."""
    if not is_monitor(request):
        raise Http404("for monitors alone")
    text = write_gauges(_gauges())
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def is_monitor(request: HttpRequest) -> bool:
    """Whether a request has the monitors' token, or is from this host where none is set."""
    if token := settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode("utf-8", "backslashreplace")
        return hmac.compare_digest(given, f"Bearer {token}".encode())
    forwarded = any(name in FORWARDED or name.startswith(FORWARDED_START) for name in request.META)
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not forwarded


def _gauges() -> Iterator[Gauge]:
    yield Gauge("info", "The version.", 1, {"version": settings.LABEL_AUDIT_VERSION})
    findings = recent_look()
    for finding in findings:
        is_well = float(finding.level == Level.OK)
        yield Gauge("check", "1 where all is well.", is_well, {"name": finding.subject})
    for path in settings.LABEL_AUDIT_GAUGES:
        yield from import_string(path)()
