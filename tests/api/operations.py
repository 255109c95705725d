"""Every operation of the API: what a token needs for it, the least role, and a body that is whole.

The one list of them: an operation that isn't here fails the tests of access.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, get_resolver

from audit.models import Role
from tests.api.callers import START

PUBLIC = {"openapi", "api_reference"}


@dataclass(frozen=True)
class Call:
    """How to call one operation. `role` is the least that finds it; `body` is one it takes."""

    method: str
    path: str
    scope: str
    role: Role | None = None  # None: whoever has a token, about themselves
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


ANNOTATOR, MAINTAINER, ADMIN = Role.ANNOTATOR, Role.MAINTAINER, Role.ADMIN
OPERATIONS = {
    "read_me": Call("GET", "/me", "read"),
    "list_projects": Call("GET", "/projects", "read"),
    "read_project": Call("GET", "/projects/{project}", "read", ANNOTATOR),
    "list_members": Call("GET", "/projects/{project}/members", "read", ADMIN),
}


def registered() -> Iterator[tuple[str, str, str, str]]:
    """Yield the id, method, path and scope of every operation that an address leads to."""
    api = get_resolver("audit.config.api_urls").url_patterns[0]
    for pattern in api.url_patterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name in PUBLIC:
            continue
        view = pattern.callback.__closure__[0].cell_contents
        for operation in view.operations:
            (auth,) = operation.auth_callbacks
            path = "/" + operation.path.lstrip("/")
            for method in operation.methods:
                yield operation.operation_id, method, path, auth.scope.value


def address(call: Call, **numbers: object) -> str:
    """The call's address about these things."""
    return START + call.path.format(**numbers)
