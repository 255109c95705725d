"""Asks Redis for its own facts over a plain socket.

The client library takes 20 MB, which a web process would need for this question alone.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from io import BufferedRWPair
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 6379
MOST_BYTES = 1 << 20


class RedisAnswerError(OSError):
    """Redis refused, or what answered isn't Redis."""


def ask_redis(url: str, *, seconds: float) -> dict[str, str]:
    """Return what INFO says of the server at a ``redis://`` or ``rediss://`` address.

    OSError where it can't be reached within so many seconds a step, or refuses.
    """
    address = urlsplit(url)
    host, port = address.hostname or "localhost", address.port or DEFAULT_PORT
    with socket.create_connection((host, port), timeout=seconds) as plain:
        stream = plain
        if address.scheme == "rediss":
            stream = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        with stream, stream.makefile("rwb") as wire:
            if address.password:
                words = [unquote(word) for word in (address.username, address.password) if word]
                _ask(wire, "AUTH", *words)
            text = _ask(wire, "INFO")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _ask(wire: BufferedRWPair, *words: str) -> str:
    """Send one command and return its answer: a simple or a bulk string."""
    parts = [word.encode() for word in words]
    wire.write(b"*%d\r\n" % len(parts))
    wire.writelines(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    wire.flush()
    line = wire.readline(4096).rstrip().decode("utf-8", "replace")
    if line.startswith("+"):
        return line[1:]
    if line.startswith("-"):
        raise RedisAnswerError(line[1:])
    with suppress(ValueError):
        if line.startswith("$") and 0 <= (size := int(line[1:])) <= MOST_BYTES:
            return wire.read(size + 2).decode("utf-8", "replace")
    raise RedisAnswerError(f"it answers {line[:40]!r}, which isn't Redis's language")
