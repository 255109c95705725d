"""Addresses of the API, version 1."""

from __future__ import annotations

from django.urls import path

from reviews.api import (
    adjudications,
    audits,
    datasets,
    desk,
    imports,
    judgments,
    measurements,
    policies,
    projects,
    releases,
    reports,
    samples,
)
from reviews.api.reference import openapi, reference
from reviews.api.site import api

for router in (
    projects.router,
    datasets.router,
    imports.router,
    audits.router,
    samples.router,
    desk.router,
    judgments.router,
    reports.router,
    measurements.router,
    adjudications.router,
    policies.router,
    releases.router,
):
    api.add_router("", router)

# Without ninja's own page at the root.
operations = [each for each in api.urls[0] if each.name != "api-root"]  # type: ignore[union-attr]
for each in operations:
    # A token takes the place of the log-in, and no cookie opens anything here.
    each.callback.login_required = False  # type: ignore[union-attr]

urlpatterns = [
    *operations,
    path("openapi.json", openapi, name="openapi"),
    path("docs", reference, name="api_reference"),
]
