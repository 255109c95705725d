"""Keeps tests off the network: Python connects to this machine alone, and asks for its names alone.

Python loads this by its name in every process that is started with the folder on PYTHONPATH, and
`tests/network.py` in the tests' own. What isn't Python's socket module goes past it: libpq, Rust's
and C++'s own connections, browsers, Node, and Python started with -I or -E or without its
environment.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

NAMES = frozenset({"", "localhost", "localhost.localdomain", "testserver", socket.gethostname()})
refused: list[str] = []
"""What was refused in this process: whoever wanted it may have caught the exception."""


class NetworkRefusedError(RuntimeError):
    """A test reached for the network."""


def is_here(host: object) -> bool:
    """Whether a host, by its name or its number, is this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    if name is None or str(name).lower().rstrip(".") in NAMES:
        return True
    try:
        number = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    number = getattr(number, "ipv4_mapped", None) or number
    return number.is_loopback or number.is_unspecified or _is_own(number)


def _is_own(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is an address of this machine's: only such a one can be bound."""
    family = socket.AF_INET if number.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((str(number), 0))
        except OSError:
            return False
    return True


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what leads away from here, before it is begun."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        sock, address = arguments
        if sock.family not in {socket.AF_INET, socket.AF_INET6} or address is None:
            return
        if event == "socket.connect" and sock.type == socket.SOCK_DGRAM:
            return  # sends nothing: how programs ask for their own address
        host = address[0]
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        host = arguments[0]
    else:
        return
    if not is_here(host):
        refused.append(f"{event} {host!r}")
        raise NetworkRefusedError(f"tests keep off the network: {event} of {host!r}")


# One per process, under whichever of its two names it came first.
if not hasattr(sys, "label_audit_guard"):
    sys.label_audit_guard = sys.modules[__name__]  # type: ignore[attr-defined]
    sys.addaudithook(watch)
