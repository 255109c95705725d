"""Schemathesis over the API's own description, in this process: values that suit it, and others.

Every answer has a documented status, type and shape, nothing breaks, and what doesn't suit the
description is refused. Few examples per operation, the same ones each time.
"""

from __future__ import annotations

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from audit.models import Role
from tests.api.callers import START, secret_of
from tests.api.operations import OPERATIONS
from tests.api.scene import make_scene

pytestmark = pytest.mark.django_db
EXAMPLES = 2
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FEW = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def call_often(operation, mode: GenerationMode, scene, token: dict[str, str]) -> int:
    """Call an operation with a few cases that suit its description, or don't; return how many."""
    tried = []
    checks = CHECKS if mode.is_positive else [*CHECKS, negative_data_rejection]

    @FEW
    @given(operation.as_strategy(generation_mode=mode))
    def check(case):
        if mode.is_positive:
            # What is random names nothing that there is.
            named = case.path_parameters.keys() & scene.numbers.keys()
            case.path_parameters |= {name: str(scene.numbers[name]) for name in named}
        tried.append(case)
        case.call_and_validate(headers=token, checks=checks)

    check()
    return len(tried)


@pytest.mark.row("B142", "B143", "B144", "B152")
@pytest.mark.usefixtures("kept_connection")
def test_every_operation_does_what_its_description_says():
    scene = make_scene()
    token = {"Authorization": f"Bearer {secret_of(scene.member(Role.ADMIN))}"}
    schema = schemathesis.openapi.from_wsgi(f"{START}/openapi.json", get_wsgi_application())
    operations = [found.ok() for found in schema.get_all_operations()]
    tried = {
        operation.label: [call_often(operation, mode, scene, token) for mode in GenerationMode]
        for operation in operations
    }
    assert len(tried) == len(OPERATIONS)
    assert all(positive for positive, _ in tried.values())
