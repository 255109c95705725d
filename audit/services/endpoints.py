"""The installation's model servers, with the keys that only whoever asks them needs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from audit.config.environment import SettingError, read_endpoint_key
from scoring.experts.base import ExpertRefused
from scoring.experts.endpoints import Endpoint, find_endpoint


def endpoints_for(expert: str) -> dict[str, Endpoint]:
    """Return the endpoints, the one that an expert's name refers to with its key."""
    backend, _, model = expert.partition(":")
    name = model.partition(",")[0]
    if backend != "endpoint" or name not in settings.ENDPOINTS:
        return dict(settings.ENDPOINTS)
    try:
        return {**settings.ENDPOINTS, name: endpoint_with_key(name)}
    except SettingError as error:
        raise ExpertRefused("endpoint_key", str(error)) from error


def endpoint_with_key(name: str) -> Endpoint:
    """Return the endpoint of that name, its key read anew; raises ``EndpointError``."""
    endpoint = find_endpoint(settings.ENDPOINTS, name)
    key = read_endpoint_key(os.environ, Path(settings.LABEL_AUDIT_HOME), name)
    return replace(endpoint, key=key)
