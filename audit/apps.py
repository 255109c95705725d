"""Registers the audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Data sets, experts, scores, audits and queues."""

    name = "audit"
    verbose_name = "Audits"
