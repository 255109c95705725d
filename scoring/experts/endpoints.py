"""Model servers that speak OpenAI's protocol, as an installation names them in one text.

Nothing here opens a connection. A key is never part of the text, nor of anything printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

FORMS = ("completions", "chat")
REPLY_LIMITS = ("max_tokens", "max_completion_tokens")

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_NUMBERS = {"top": (1, 1000), "parallel": (1, 256), "timeout": (1, 3600), "patience": (0, 86_400)}
_WORDS = {"form": FORMS, "reply_limit": REPLY_LIMITS}
_HOW = "NAME=URL,MODEL[,OPTION=VALUE...]"


class EndpointError(ValueError):
    """The text names no usable endpoint; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One served model.

    ``url`` ends before ``/completions``, as in ``http://host:8000/v1``. ``form``: which of the two
    protocols an expert speaks; a judge always chats. ``top``: how many log-probabilities to ask
    for at a token. ``parallel``: requests on their way at a time, from each process. ``timeout``:
    seconds until a silent request counts as failed. ``patience``: seconds through which a server
    that is away or overloaded is waited for. ``reply_limit``: what the server calls the longest
    reply. ``key`` never shows in a repr.
    """

    name: str
    url: str
    model: str
    form: str = "completions"
    top: int = 20
    parallel: int = 8
    timeout: int = 60
    patience: int = 300
    reply_limit: str = "max_tokens"
    key: str = field(default="", repr=False, compare=False)


def parse_endpoints(text: str) -> dict[str, Endpoint]:
    """Return the endpoints in ``text`` by name: ``NAME=URL,MODEL[,OPTION=VALUE...]``.

    Several are separated by semicolons or line ends.
    """
    endpoints: dict[str, Endpoint] = {}
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        endpoint = _parse_endpoint(part.strip())
        if endpoint.name in endpoints:
            raise EndpointError(f"endpoint {endpoint.name!r} is named twice")
        endpoints[endpoint.name] = endpoint
    return endpoints


def find_endpoint(endpoints: Mapping[str, Endpoint], name: str) -> Endpoint:
    """Return the endpoint of that name, or say which there are."""
    if name not in endpoints:
        known = ", ".join(sorted(endpoints)) or "none"
        raise EndpointError(f"no endpoint is named {name!r} in the settings; there are: {known}")
    return endpoints[name]


def _parse_endpoint(text: str) -> Endpoint:
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not _NAME.fullmatch(name):
        # Whatever stands there may be a key pasted in the wrong place: it isn't repeated.
        message = "letters a to z, digits and hyphens, and starts with a letter"
        raise EndpointError(f"an endpoint is {_HOW}, and a name has {message}")
    fields = [each.strip() for each in rest.split(",")]
    if len(fields) < 2 or not all(fields):
        raise EndpointError(f"endpoint {name!r} is not {_HOW}")
    url, model, *options = fields
    return Endpoint(name, _check_url(name, url), model, **dict(_read(name, o) for o in options))


def _check_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError as error:
        raise EndpointError(f"endpoint {name!r}: the address can't be read") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EndpointError(f"endpoint {name!r}: the address must begin with http:// or https://")
    if parts.username is not None or parts.query or parts.fragment:
        message = "the address holds no user, password or query; a key is a setting of its own"
        raise EndpointError(f"endpoint {name!r}: {message}")
    return url.rstrip("/")


def _read(name: str, option: str) -> tuple[str, Any]:
    key, _, value = option.partition("=")
    if key in _NUMBERS:
        low, high = _NUMBERS[key]
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise EndpointError(f"endpoint {name!r}: {key} is a whole number, {low} to {high}")
        return key, int(value)
    if key in _WORDS:
        if value not in _WORDS[key]:
            raise EndpointError(f"endpoint {name!r}: {key} is one of {', '.join(_WORDS[key])}")
        return key, value
    known = ", ".join([*_NUMBERS, *_WORDS])
    raise EndpointError(f"endpoint {name!r} has an unknown option; known: {known}")
