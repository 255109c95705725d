"""Annotators who send what the desk's page sends: one asyncio task and one connection each.

A plain HTTP/1.1 client of our own: on a machine that the site shares with its load, a full client
library would take more of the processor than the site.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import urllib.parse
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="([^"]+)"')
AHEAD = 5  # the page asks for more once no more than this many wait


@dataclass
class Log:
    """What came of a run: seconds of each request, what was given to whom, what was stored."""

    submits: list[float] = field(default_factory=list)
    nexts: list[float] = field(default_factory=list)
    cycles: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    holders: dict[int, set[str]] = field(default_factory=dict)
    stored: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def given_twice(self) -> int:
        """How many slots were given to more than one person."""
        return sum(len(people) > 1 for people in self.holders.values())


class Browser:
    """One person's connection with cookies; a connection the server closed is opened again.

    `source`: the address they come from, such as 127.0.0.7, where it matters.
    """

    def __init__(self, port: int, name: str, source: str = "") -> None:
        self.port = port
        self.name = name
        self.source = source
        self.cookies: dict[str, str] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Return status and body of the answer; like a browser, try once more if none comes."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {cookies}\r\n"
            f"X-CSRFToken: {self.cookies.get('csrftoken', '')}\r\nContent-Type: {kind}\r\n"
            f"Accept-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            return await self._exchange(head.encode() + body)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            return await self._exchange(head.encode() + body)

    async def post(self, path: str, data: dict[str, Any]) -> tuple[int, Any, float]:
        """Return status, document and seconds."""
        started = time.perf_counter()
        status, body = await self.ask("POST", path, json.dumps(data).encode())
        seconds = time.perf_counter() - started
        return status, json.loads(body) if status == 200 else body[:200], seconds

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            local = (self.source, 0) if self.source else None
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=2**22, local_addr=local
            )
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        length, is_last = 0, False
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() == "set-cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self.cookies[cookie] = content
            elif name.lower() == "connection":
                is_last = value.lower() == "close"
        body = await self._reader.readexactly(length)
        if is_last:
            self.close()
        return int(lines[0].split(" ")[1]), body

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def log_in(self, password: str) -> None:
        """Log in through the log-in page."""
        status = await self.try_log_in(password)
        assert status == 302, f"{self.name} could not log in: {status}"

    async def try_log_in(self, password: str) -> int:
        """Send the log-in page's form; return the answer's status."""
        _, page = await self.ask("GET", "/login/")
        found = TOKEN.search(page)
        assert found is not None
        fields = {
            "csrfmiddlewaretoken": found[1].decode(),
            "username": self.name,
            "password": password,
        }
        body = urllib.parse.urlencode(fields).encode()
        status, _ = await self.ask("POST", "/login/", body, "application/x-www-form-urlencoded")
        return status


@dataclass(frozen=True, slots=True)
class Plan:
    """How people work.

    ``think``: mean seconds of looking at an item; ``always_ask``: ask for the next item after
    every verdict, where the page asks once for five.
    """

    seconds: float
    think: float = 0.0
    always_ask: bool = False
    most: int = 10**9


class Desk:
    """What the desk's page does: ten items at once, verdicts one by one, more in time."""

    def __init__(self, audit: int) -> None:
        self.base = f"/audits/{audit}/review/"

    async def lease(self, browser: Browser, log: Log, has: list[int]) -> list[Any]:
        data = {"mode": "full", "later": [], "recall": not has, "has": has}
        status, answer, seconds = await browser.post(f"{self.base}lease/", data)
        if status != 200:
            log.errors.append(f"lease {status} {answer!r}")
            return []
        log.nexts.append(seconds)
        return list(answer["items"])

    async def judge(self, browser: Browser, log: Log, item: Any) -> None:
        ticked = item["candidates"][0]["index"]
        data = {
            "key": str(uuid4()), "mode": "full", "labels": [ticked], "severity": None, "note": "",
            "verdict": item["categories"].get(str(ticked), "wrong_label"),
            "corrected_label": None, "milliseconds": 1500, "ticket": item["ticket"],
        }  # fmt: skip
        await _submit(browser, log, f"{self.base}judgments/", data)


class BareDesk:
    """The same against the bare site: one item, one verdict."""

    async def lease(self, browser: Browser, log: Log, _has: list[int]) -> list[Any]:
        status, answer, seconds = await browser.post("/claim/", {})
        if status != 200:
            log.errors.append(f"claim {status} {answer!r}")
            return []
        log.nexts.append(seconds)
        return list(answer["items"])

    async def judge(self, browser: Browser, log: Log, item: Any) -> None:
        data = {"slot": item["slot"], "verdict": "wrong_label", "key": str(uuid4())}
        await _submit(browser, log, "/submit/", data)


async def _submit(browser: Browser, log: Log, path: str, data: dict[str, Any]) -> None:
    status, answer, seconds = await browser.post(path, data)
    if status == 200:
        log.submits.append(seconds)
        log.stored[answer["key"]] += 1
    else:
        log.errors.append(f"submit {status} {answer!r}")


async def annotate(browser: Browser, desk: Desk | BareDesk, plan: Plan, log: Log) -> None:
    """Judge until the time is over."""
    rng = random.Random(browser.name)  # noqa: S311 - whose turn it is, not a secret
    queue: deque[Any] = deque()
    known: set[int] = set()

    def take(items: Iterable[Any]) -> None:
        for item in items:
            if item["slot"] not in known:
                known.add(item["slot"])
                log.holders.setdefault(item["slot"], set()).add(browser.name)
                queue.append(item)

    await asyncio.sleep(plan.think * rng.random())
    take(await desk.lease(browser, log, []))
    deadline = time.perf_counter() + plan.seconds
    while queue and len(known) < plan.most and time.perf_counter() < deadline:
        if plan.think:
            await asyncio.sleep(plan.think * rng.uniform(0.5, 1.5))
        started = time.perf_counter()
        await desk.judge(browser, log, queue.popleft())
        if plan.always_ask or len(queue) <= AHEAD:
            take(await desk.lease(browser, log, [item["slot"] for item in queue]))
        log.cycles.append(time.perf_counter() - started)


async def log_everybody_in(port: int, people: list[str], password: str) -> list[Browser]:
    """Return one logged-in browser per person."""
    browsers = [Browser(port, name) for name in people]
    gate = asyncio.Semaphore(4)

    async def enter(browser: Browser) -> None:
        async with gate:
            await browser.log_in(password)

    await asyncio.gather(*(enter(browser) for browser in browsers))
    return browsers


async def run(browsers: list[Browser], desk: Desk | BareDesk, plan: Plan) -> Log:
    """Let everybody work at once and return what came of it."""
    log = Log()
    started = time.perf_counter()
    await asyncio.gather(*(annotate(browser, desk, plan, log) for browser in browsers))
    log.seconds = time.perf_counter() - started
    for browser in browsers:
        browser.close()
    return log
