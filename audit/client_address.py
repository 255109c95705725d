"""From where a request comes, as far as that can be trusted."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest


def read_address(request: HttpRequest) -> str:
    """Return the client's address; an IPv6 one as its network of 64 bits, which one person has.

    `X-Forwarded-For` says what its sender likes. Only the last entries, one for each proxy of
    the installation's own (LABEL_AUDIT_TRUSTED_PROXIES), were written by somebody trusted.
    """
    raw = request.META.get("REMOTE_ADDR", "")
    n_proxies = settings.TRUSTED_PROXIES
    if n_proxies:
        told = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(told) >= n_proxies:
            raw = told[-n_proxies]
    try:
        address = ip_address(raw)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
