"""Texts of errors, made fit to be stored, logged and shown: short, printable, without secrets."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from django.conf import settings

MAX_STORED = 2000
MAX_LOGGED = 20_000
# Nobody reads five megabytes of message, and no pattern has to walk through them.
MAX_READ = 65_536
HIDDEN = "***"
# Patterns begin with a literal, and what they repeat is bounded where they would search it anew
# from every place: 64 kB of one letter must not cost minutes.
_NAME = r"(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)(?:[_-]?(?:id|key))?"
_PATTERNS = [
    # scheme://user:password@host, as in the address of a database or broker
    (
        re.compile(
            r"([a-z][a-z0-9+.-]{0,20}://)[^\s'\"<>/@:]{0,200}(?::[^\s'\"<>@]{0,500})?@",
            re.IGNORECASE,
        ),
        r"\1***@",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
    # password=..., and "api_key": "..." as in JSON. A bare "tokens: 5" is no secret.
    (re.compile(rf"({_NAME}\s*=\s*)(['\"]?)[^\s'\",;&)]+", re.IGNORECASE), r"\1\2***"),
    (re.compile(rf"({_NAME}['\"]\s*:\s*['\"])[^'\"]+", re.IGNORECASE), r"\1***"),
    # What well-known services hand out as keys, and what we do.
    (re.compile(r"\b(?:laudit_|hf_|sk-|gh[pousr]_|AKIA)[A-Za-z0-9_-]{12,}"), HIDDEN),
]
_SECRET_VARIABLE = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD)(_ID)?$")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def clean_error(text: object, *, limit: int = MAX_STORED) -> str:
    """Return the text without secrets and control characters, cut to `limit` characters.

    NUL can't be stored in PostgreSQL and a lone surrogate can't be encoded at all: an error that
    quotes a file's name must not turn into a second error.
    """
    whole = str(text)
    cleaned = whole[:MAX_READ].encode("utf-8", "backslashreplace").decode()
    for secret in _known_secrets():
        cleaned = cleaned.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        cleaned = pattern.sub(replacement, cleaned)
    cleaned = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", cleaned)
    if len(cleaned) <= limit and len(whole) <= MAX_READ:
        return cleaned
    note = f" ... ({len(whole):,} characters)"
    return cleaned[: limit - len(note)] + note


@lru_cache(maxsize=1)
def _known_secrets() -> tuple[str, ...]:
    """Return the secrets this process was given, longest first."""
    found = {settings.SECRET_KEY, str(settings.DATABASES["default"].get("PASSWORD") or "")}
    found |= {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    # A short one would blank out ordinary words.
    return tuple(sorted((each for each in found if len(each) >= 8), key=len, reverse=True))
