"""Who calls the API in tests: a client that sends a person's token with every request."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from audit.models import Project, Scope
from audit.services.api_tokens import make_token

START = "/api/v1"


def secret_of(user: User, *scopes: str, project: Project | None = None) -> str:
    """The secret of a new token, by default good for everything."""
    return make_token(user, "test", scopes or Scope.values, project=project)[1]


def caller(user: User, *scopes: str, project: Project | None = None) -> Client:
    """A client that acts for a person, by default with every scope."""
    secret = secret_of(user, *scopes, project=project)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def send(client: Client, method: str, path: str, body: object = None, **headers: str):
    """Send JSON, or nothing, to an address of the API."""
    options = {"headers": headers}
    if body is not None:
        options |= {"data": body, "content_type": "application/json"}
    return getattr(client, method.lower())(START + path, **options)
