"""Requests with a token: tried again where that is harmless, refusals raised as one exception."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

START = "/api/v1"
TRIES = 4
FIRST_PAUSE = 0.25  # seconds; doubled for each further try
AGAIN = frozenset({502, 503, 504})


class ApiError(Exception):
    """The API refused; `code` is for programs, the text for people."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(answer.get("code", "unknown"))
        self.row: int | None = answer.get("row")
        self.col: str | None = answer.get("col")
        self.answer = dict(answer)
        super().__init__(f"{answer.get('message', 'no reason given')} ({status} {self.code})")


class Connection:
    """One address and one token. The token goes into a header and nowhere else."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        # Not led elsewhere: a redirect would take the token along.
        self._http = httpx2.Client(
            base_url=address.rstrip("/"),
            headers=headers,
            timeout=timeout,
            transport=transport,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """Return what an address holds; names without a value are left out."""
        asked = {name: _spell(value) for name, value in query.items() if value is not None}
        return self._send("GET", path, params=asked, again=True).json()

    def each(self, path: str, **query: Any) -> Iterator[Any]:
        """Yield every row of a list, part by part."""
        cursor: int | None = 0
        while cursor is not None:
            part = self.get(path, **{**query, "cursor": cursor})
            yield from part["items"]
            cursor = part["next"]

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        """Do something; tried again only with a `key`, by which it happens once."""
        return self.change("POST", path, body, key=key).json()

    def change(
        self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str
    ) -> httpx2.Response:
        """Do something and return the whole answer."""
        if key:
            headers["Idempotency-Key"] = key
        return self._send(method, path, json=body, headers=headers, again=bool(key))

    def read(self, path: str, start: int = 0, tag: str = "") -> Iterator[bytes]:
        """Yield a file's bytes from `start` on, if it is still the one with this ETag."""
        headers = {"Range": f"bytes={start}-", "If-Range": tag} if start else {}
        with self._http.stream("GET", START + path, headers=headers) as answer:
            if start and answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                answer.read()
                raise ApiError(answer.status_code, {"code": "changed", "message": "another file"})
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            yield from answer.iter_bytes()

    def tag_of(self, path: str) -> tuple[str, int]:
        """Return a file's ETag and how many bytes it has."""
        with self._http.stream("GET", START + path) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            return answer.headers["ETag"], int(answer.headers["Content-Length"])

    def _send(self, method: str, path: str, *, again: bool, **options: Any) -> httpx2.Response:
        pause = FIRST_PAUSE
        for tried in range(1, TRIES + 1):
            is_last = tried == TRIES or not again
            try:
                answer = self._http.request(method, START + path, **options)
            except httpx2.TransportError:
                if is_last:
                    raise
            else:
                if answer.status_code not in AGAIN or is_last:
                    if not answer.is_success:
                        raise _refusal(answer)
                    return answer
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")


def _spell(value: object) -> object:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _refusal(answer: httpx2.Response) -> ApiError:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    return ApiError(answer.status_code, said if isinstance(said, dict) else {})
