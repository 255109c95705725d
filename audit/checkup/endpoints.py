"""Model servers of the settings: their keys, and whether they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings

from audit.checkup.findings import Finding, fine, problem, warn
from audit.config.environment import SettingError
from audit.services.endpoints import endpoint_with_key
from scoring.experts.base import ExpertRefused, ExpertUnavailable
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_probe import list_models

PATIENCE_SECONDS = 3


def check_endpoints() -> Iterator[Finding]:
    """Ask every named server which models it serves."""
    for name in sorted(settings.ENDPOINTS):
        yield _check_endpoint(name, f"endpoint {name}")


def _check_endpoint(name: str, subject: str) -> Finding:
    try:
        endpoint = replace(endpoint_with_key(name), timeout=PATIENCE_SECONDS, patience=0)
        with EndpointClient(endpoint) as client:
            return fine(subject, list_models(client))
    except SettingError as error:
        return problem(subject, str(error), "put the key right, or remove it")
    except ExpertUnavailable as error:
        advice = "start it, or correct LABEL_AUDIT_ENDPOINTS: experts and judges wait for it"
        return warn(subject, str(error), advice)
    except ExpertRefused as error:
        if error.reason_code == "endpoint_path":
            return fine(subject, "it answers, and lists no models")
        return problem(subject, str(error), "give it a key that the server accepts")
    except RequestRefused as error:
        advice = "name a model that is served in LABEL_AUDIT_ENDPOINTS"
        return problem(subject, str(error), advice)
