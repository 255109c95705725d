"""The installation's model servers, with the keys that only whoever asks them needs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from audit.config.environment import read_endpoint_key
from scoring.experts.endpoints import Endpoint, find_endpoint


def endpoint_with_key(name: str) -> Endpoint:
    """Return the endpoint of that name, its key read anew; raises ``EndpointError``."""
    endpoint = find_endpoint(settings.ENDPOINTS, name)
    key = read_endpoint_key(os.environ, Path(settings.LABEL_AUDIT_HOME), name)
    return replace(endpoint, key=key)
