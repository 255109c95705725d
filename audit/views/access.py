"""Fetch and permission in one call, for pages about one audit or one project."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from audit.models import Audit, Project, Role


def find_audit(request: HttpRequest, pk: int) -> Audit:
    """Return an audit that the person may run and read, or answer 404."""
    audits = Audit.objects.open_to(request.user, at_least=Role.MAINTAINER)
    return get_object_or_404(audits.select_related("dataset__project", "created_by"), pk=pk)


def find_admins_project(request: HttpRequest, pk: int) -> Project:
    """Return a project that the person administers, or answer 404."""
    return get_object_or_404(Project.objects.open_to(request.user, at_least=Role.ADMIN), pk=pk)
