"""Registers the audit app."""

from __future__ import annotations

import time
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.db import connections
from django.db.models.signals import post_migrate
from django.http import HttpRequest


def record_version(sender: AppConfig, using: str, **_: Any) -> None:
    """Note whose database this is now: the version that has just migrated it."""
    installation = sender.get_model("Installation")
    # Migrating backwards to nothing leaves no table to write to.
    if installation._meta.db_table in connections[using].introspection.table_names():
        version = {"version": settings.LABEL_AUDIT_VERSION}
        rows = installation._default_manager.using(using)
        rows.update_or_create(pk=1, defaults=version)


def begin_session(request: HttpRequest, **_: Any) -> None:
    """Note in the session when somebody logged in, and so confirmed who they are."""
    now = int(time.time())
    request.session.update({"begun_at": now, "seen_at": now, "confirmed_at": now})


class AuditConfig(AppConfig):
    """Data sets, experts, scores, audits and queues."""

    name = "audit"
    verbose_name = "Audits"

    def ready(self) -> None:
        post_migrate.connect(record_version, sender=self)
        user_logged_in.connect(begin_session)
