"""Registers the audit app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import connections
from django.db.models.signals import post_migrate


def record_version(sender: AppConfig, using: str, **_: Any) -> None:
    """Note whose database this is now: the version that has just migrated it."""
    installation = sender.get_model("Installation")
    # Migrating backwards to nothing leaves no table to write to.
    if installation._meta.db_table in connections[using].introspection.table_names():
        version = {"version": settings.LABEL_AUDIT_VERSION}
        rows = installation._default_manager.using(using)
        rows.update_or_create(pk=1, defaults=version)


class AuditConfig(AppConfig):
    """Data sets, experts, scores, audits and queues."""

    name = "audit"
    verbose_name = "Audits"

    def ready(self) -> None:
        post_migrate.connect(record_version, sender=self)
