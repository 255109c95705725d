"""Addresses of the audit app."""

from __future__ import annotations

from django.urls import path

from audit.views import (
    api_tokens,
    audits,
    calibration,
    calibrators,
    class_calibration,
    log,
    measurements,
    pictures,
    queue,
    queue_pairs,
)

app_name = "audit"
urlpatterns = [
    path("audits/new/", audits.audit_new, name="audit_new"),
    path("audits/new/estimate/", audits.audit_estimate, name="audit_estimate"),
    path("audits/<int:pk>/", audits.audit_detail, name="audit_detail"),
    path("audits/<int:pk>/progress/", audits.audit_progress, name="audit_progress"),
    path("audits/<int:pk>/timeline/", audits.audit_timeline, name="audit_timeline"),
    path("audits/<int:pk>/cancel/", audits.audit_cancel, name="audit_cancel"),
    path("audits/<int:pk>/resume/", audits.audit_resume, name="audit_resume"),
    path("audits/<int:pk>/urgent/", audits.audit_urgent, name="audit_urgent"),
    path("audits/<int:pk>/calibration/", calibration.calibration, name="calibration"),
    path(
        "audits/<int:pk>/calibration/measure/",
        calibrators.measure_calibrators,
        name="measure_calibrators",
    ),
    path(
        "audits/<int:pk>/calibration/progress/",
        calibrators.calibrators_progress,
        name="calibrators_progress",
    ),
    path(
        "audits/<int:pk>/calibration/classes/",
        class_calibration.class_calibration,
        name="class_calibration",
    ),
    path(
        "audits/<int:pk>/calibration/classes.csv",
        class_calibration.class_calibration_csv,
        name="class_calibration_csv",
    ),
    path(
        "measurements/<int:pk>/cancel/", measurements.measurement_cancel, name="measurement_cancel"
    ),
    path(
        "measurements/<int:pk>/resume/", measurements.measurement_resume, name="measurement_resume"
    ),
    path("audits/<int:pk>/queue/", queue.queue, name="queue"),
    path("audits/<int:pk>/queue/pairs/", queue_pairs.queue_pairs, name="queue_pairs"),
    path("audits/<int:pk>/pairs.csv", queue_pairs.queue_pairs_csv, name="queue_pairs_csv"),
    path("audits/<int:pk>/queue.csv", queue_pairs.queue_csv, name="queue_csv"),
    path("audits/<int:pk>/queue/<int:item_pk>/", queue.queue_item, name="queue_item"),
    path("projects/<int:pk>/log/", log.log, name="log"),
    path("tokens/", api_tokens.api_tokens, name="api_tokens"),
    path("tokens/<int:pk>/revoke/", api_tokens.revoke_api_token, name="revoke_api_token"),
    path("items/<int:pk>/image/", pictures.item_image, name="item_image"),
    path("items/<int:pk>/thumb/", pictures.item_thumb, name="item_thumb"),
]
