"""Requests to a model server: many at a time, slowed down when it asks for it, tried again.

A failure is one of three: the server is away or overloaded for too long (``ExpertUnavailable``),
it refuses whoever asks (``ExpertRefused``), or it refuses this one request (``RequestRefused``).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import httpx2

from scoring.experts.base import ExpertRefused, ExpertUnavailable
from scoring.experts.endpoints import Endpoint

Document = dict[str, Any]
Input = TypeVar("Input")
Output = TypeVar("Output")

OVERLOADED = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SHOWN_CHARACTERS = 300


class RequestRefused(Exception):  # noqa: N818 - named like the other refusals
    """The server won't answer this request; others may fare better."""


class EndpointClient:
    """One endpoint's connections, shared by the threads that ask.

    At most ``endpoint.parallel`` requests are on their way. Whenever the server says that it is
    overloaded, all of them pause, as long as it asked for or twice as long as the last time, and
    half as many go on; the number then grows again with every answer.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._gate = _Gate(endpoint.parallel)
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        self._http = httpx2.Client(
            headers=headers,
            timeout=endpoint.timeout,
            limits=httpx2.Limits(max_connections=endpoint.parallel),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Document:
        """Return what the server says of itself at ``path``."""
        return self._request("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Document:
        """Return the server's answer to ``body`` with the endpoint's model filled in."""
        return self._request("POST", path, {"model": self.endpoint.model, **body})

    def each(
        self, function: Callable[[Input], Output], inputs: Sequence[Input]
    ) -> Generator[Output]:
        """Yield ``function`` of each input, in order, several at work at a time.

        The first failure stops the others where they wait.
        """
        with ThreadPoolExecutor(self.endpoint.parallel) as pool:
            running = [pool.submit(function, each) for each in inputs]
            try:
                for future in running:
                    yield future.result()
            finally:
                # Does nothing once all are done; else no request that waits is sent any more.
                with self._gate.closed():
                    pool.shutdown(cancel_futures=True)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Document:
        give_up_at = time.monotonic() + self.endpoint.patience
        pause = FIRST_PAUSE
        while True:
            with self._gate.turn():
                outcome = self._try(method, path, body)
                if isinstance(outcome, dict):
                    self._gate.widen()
                    return outcome
                # Full jitter: clients that failed together must not come back together.
                jitter = random.uniform(0, pause)  # noqa: S311 - guards nothing
                wait = max(outcome.asked_for, jitter)
                if time.monotonic() + wait > give_up_at:
                    raise ExpertUnavailable(
                        f"endpoint {self.endpoint.name} gave no answer for "
                        f"{self.endpoint.patience} s, last: {outcome.reason}"
                    )
                self._gate.back_off(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, method: str, path: str, body: Mapping[str, Any] | None) -> Document | _Setback:
        try:
            response = self._http.request(method, self.endpoint.url + path, json=body)
            if response.status_code in OVERLOADED:
                return _Setback(f"HTTP {response.status_code}", _retry_after(response))
            if response.status_code == 200:
                document = response.json()
                return document if isinstance(document, dict) else _Setback("not a JSON object")
        except httpx2.TransportError as error:
            return _Setback(type(error).__name__)
        except (httpx2.DecodingError, ValueError):
            return _Setback("not JSON")
        raise self._refusal(path, response)

    def _refusal(self, path: str, response: httpx2.Response) -> Exception:
        name, status = self.endpoint.name, response.status_code
        if status in {401, 403}:
            # Without the server's words: some repeat the key.
            message = f"endpoint {name} refuses its key (HTTP {status})"
            return ExpertRefused("endpoint_key", message)
        said = (
            response.text.replace(self.endpoint.key, "***") if self.endpoint.key else response.text
        )
        said = " ".join(said.split())[:SHOWN_CHARACTERS]
        if status in {404, 405, 501} or 300 <= status < 400:
            message = f"endpoint {name} has no {path} for this model (HTTP {status}): {said}"
            return ExpertRefused("endpoint_path", message)
        return RequestRefused(f"HTTP {status}: {said}")


class _Setback:
    """Why a request has to be tried again, and how many seconds the server asked to wait."""

    def __init__(self, reason: str, asked_for: float = 0.0) -> None:
        self.reason = reason
        self.asked_for = asked_for


def _retry_after(response: httpx2.Response) -> float:
    """Return the seconds in the header of that name; a date there counts as none."""
    said = response.headers.get("retry-after", "")
    return min(float(said), 600.0) if said.isascii() and said.isdigit() else 0.0


class _GateClosedError(RuntimeError):
    """Nobody waits for the answer any more."""


class _Gate:
    """Lets a changing number of threads in, and none during a pause."""

    def __init__(self, full: int) -> None:
        self._changed = threading.Condition()
        self._full = full
        self._width = float(full)
        self._n_inside = 0
        self._opens_at = 0.0
        self._is_closed = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until there is room and no pause; raise when it is closed meanwhile."""
        with self._changed:
            while True:
                if self._is_closed:
                    raise _GateClosedError
                pause = self._opens_at - time.monotonic()
                if pause <= 0 and self._n_inside < int(self._width):
                    break
                self._changed.wait(pause if pause > 0 else None)
            self._n_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    def back_off(self, seconds: float) -> None:
        """Let nobody in for a while, then half as many."""
        now = time.monotonic()
        with self._changed:
            if self._opens_at <= now:  # one burst of refusals counts once
                self._width = max(1.0, self._width / 2)
            self._opens_at = max(self._opens_at, now + seconds)

    def widen(self) -> None:
        """Let one more in for every round of answers."""
        with self._changed:
            self._width = min(float(self._full), self._width + 1 / self._width)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Send away whoever waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._is_closed = False
