"""Lists the model servers of the settings, or tries one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from audit.config.environment import SettingError
from audit.management.base import AuditCommand
from audit.services.endpoints import endpoint_with_key
from scoring.experts.endpoint_probe import probe_endpoint
from scoring.experts.endpoints import Endpoint, EndpointError

USES = {
    "models": "lists models",
    "letters": "scores option letters",
    "text": "scores option texts",
    "judge": "judges",
}


class Command(AuditCommand):
    help = "Try a model server named in LABEL_AUDIT_ENDPOINTS; without a name, list them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?")

    def handle(self, **options: Any) -> None:
        names = [options["name"]] if options["name"] else sorted(settings.ENDPOINTS)
        try:
            endpoints = [endpoint_with_key(name) for name in names]
        except (EndpointError, SettingError) as error:
            raise CommandError(str(error)) from error
        if options["name"]:
            self._try(options, endpoints[0])
            return
        document = {"endpoints": [describe_endpoint(each) for each in endpoints]}
        lines = [
            f"{each['name']}: {each['model']} at {each['url']}, {each['form']}, "
            f"{'with a key' if each['has_key'] else 'no key'}"
            for each in document["endpoints"]
        ]
        self.emit(options, document, "\n".join(lines) or "LABEL_AUDIT_ENDPOINTS names none")

    def _try(self, options: dict[str, Any], endpoint: Endpoint) -> None:
        findings = probe_endpoint(endpoint)
        document = {
            **describe_endpoint(endpoint),
            "findings": [asdict(finding) for finding in findings],
        }
        lines = [
            f"{'yes' if each.works else 'NO ':<3}  {USES[each.use]}: {each.detail} "
            f"({each.seconds:.2f} s)"
            for each in findings
        ]
        self.emit(options, document, "\n".join(lines))
        if not any(each.works for each in findings if each.use != "models"):
            raise CommandError(f"endpoint {endpoint.name} can't be used")


def describe_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return what may be shown of an endpoint: everything but its key."""
    shown = {name: value for name, value in asdict(endpoint).items() if name != "key"}
    return {**shown, "has_key": bool(endpoint.key)}
