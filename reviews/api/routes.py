"""How an operation of the API is declared: its address, what a token needs for it, its answer.

Everything that all operations have in common is here: the token, refusals, and that nothing is
passed over in silence: a parameter that there isn't is refused like a value that can't be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router, Status
from ninja.parser import Parser
from ninja.security import HttpBearer
from ninja.types import DictStrAny

from audit.models import ApiToken, Scope
from audit.services.api_tokens import find_token
from reviews.api.errors import ApiError, Problem

View = TypeVar("View", bound=Callable[..., Any])
JSON = "application/json"
ANYBODY = (400, 401, 403, 404, 405)
"""What any operation may answer besides what it is for."""


class TokenAuth(HttpBearer):
    """A bearer token in the Authorization header; never in the address, never in a cookie."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        """Read the header by the letter: what isn't exactly one token is none."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        return self.authenticate(request, secret) if scheme.lower() == "bearer" else None

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = find_token(token)
        if found is None:
            return None
        if self.scope not in found.scopes:
            message = f"this token is not for {self.scope.value}; its scopes: {found.scopes}"
            raise ApiError(403, "scope", message)
        user = found.user
        # Every question about what is open to them is answered within the token's project.
        user.limited_to = found.project_id  # type: ignore[attr-defined]
        request.user = user
        return found


class StrictParser(Parser):
    """Reads bodies that say they are JSON and are: no NaN, nothing that stands there twice."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        if request.content_type != JSON:
            raise ApiError(415, "media_type", f"send the body as {JSON}")
        try:
            found = json.loads(
                request.body, parse_constant=_refuse_constant, object_pairs_hook=_once
            )
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "not_json", f"the body is not JSON: {error}") from error
        return cast("DictStrAny", found)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in an object twice")
    return found


def person(request: HttpRequest) -> User:
    """Return whose token it is."""
    return cast("User", request.user)


def route(
    router: Router,
    method: str,
    path: str,
    scope: Scope,
    answer: Any,
    *,
    status: int = 200,
    refusals: tuple[int, ...] = (),
    **extra: Any,
) -> Callable[[View], View]:
    """Register a view under a method and an address; `refusals` are answered in one shape."""

    def register(view: View) -> View:
        more = {400, 413, 415, 422} if method in {"POST", "PUT", "PATCH"} else {422}
        codes = sorted({*ANYBODY, *more, *refusals})
        router.add_api_operation(
            path,
            [method],
            view,
            auth=TokenAuth(scope),
            response={status: answer, **dict.fromkeys(codes, Problem)},
            operation_id=view.__name__,
            summary=(view.__doc__ or view.__name__).splitlines()[0],
            description=_describe(view, scope),
            **extra,
        )
        operation = view._ninja_operation  # type: ignore[attr-defined]
        known = {
            name
            for model in operation.models
            if model.__ninja_param_source__ == "query"
            for name in model.__ninja_flatten_map__
        }

        @wraps(view)
        def checked(request: HttpRequest, **values: Any) -> Any:
            check_query(request, known)
            found = view(request, **values)
            return found if isinstance(found, HttpResponseBase) else Status(status, found)

        # Not the view that ninja reads: names in its annotations are those of its own module.
        operation.view_func = checked
        return view

    return register


def _describe(view: Callable[..., Any], scope: Scope) -> str:
    _, _, rest = (view.__doc__ or "").partition("\n")
    lines = (line.strip() for line in rest.splitlines())
    return f"{' '.join(lines).strip()}\n\nNeeds the scope `{scope.value}`.".strip()


def check_query(request: HttpRequest, known: set[str]) -> None:
    """Refuse parameters that the operation doesn't have: a wrong name is not passed over."""
    unknown = sorted(set(request.GET) - known)
    if unknown:
        allowed = f"there are: {', '.join(sorted(known))}" if known else "there are none"
        message = f"no parameter {unknown[0][:80]!r}; {allowed}"
        raise ApiError(422, "invalid", message, col=unknown[0][:80])
