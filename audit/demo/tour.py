"""Visits every page of a running site as each role, the way a browser would."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
TIMEOUT_SECONDS = 30


class TourError(RuntimeError):
    """A page did not answer as it should."""


class Visitor:
    """One person's browser: cookies, log-in, pages."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()),
            urllib.request.ProxyHandler({}),
        )

    def get(self, path: str) -> str:
        """Return a page's text; anything but 200 is an error."""
        return self._open(path, None)

    def log_in(self, username: str, password: str) -> str:
        """Log in through the log-in page; return the page that follows."""
        found = TOKEN.search(self.get("/login/"))
        if found is None:
            raise TourError("the log-in page has no form")
        fields = {
            "csrfmiddlewaretoken": found[1],
            "username": username,
            "password": password,
        }
        page = self._open("/login/", urllib.parse.urlencode(fields).encode())
        if 'name="password"' in page:
            raise TourError(f"{username} could not log in")
        return page

    def _open(self, path: str, body: bytes | None) -> str:
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            self.base + path, data=body, headers={"Referer": self.base + path}
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                text: str = answer.read().decode("utf-8", "replace")
                return text
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            raise TourError(f"{path}: {error}") from error


def take_tour(
    base: str, log_ins: dict[str, tuple[str, str]], pages: dict[str, list[str]]
) -> Iterator[str]:
    """Yield each page that answered, by role; `pages` are paths after the role's log-in."""
    for role, (username, password) in log_ins.items():
        visitor = Visitor(base)
        visitor.log_in(username, password)
        yield f"{role}: logged in"
        for path in pages[role]:
            visitor.get(path)
            yield f"{role}: {path}"
