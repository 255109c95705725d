"""Fetch and permission in one call, for the pages about one audit."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from audit.models import Audit, Role


def find_audit(request: HttpRequest, pk: int) -> Audit:
    """Return an audit that the person may run and read, or answer 404."""
    audits = Audit.objects.open_to(request.user, at_least=Role.MAINTAINER)
    return get_object_or_404(audits.select_related("dataset__project", "created_by"), pk=pk)
