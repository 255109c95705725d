"""Annotators of the soak: real HTTP, a key for every verdict, and patience with whatever breaks.

One asyncio task each. What isn't answered, or with 503, is sent again with its key until it is.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.benchmarks.web_load import Browser, log_everybody_in

# Answers of a site whose database is away for a moment, or that is being started again.
AGAIN = {0, 502, 503, 504}
THINK_SECONDS = (0.1, 0.7)
PATIENCE_SECONDS = 90.0
SENT_TWICE = 0.2  # of all acknowledged verdicts, as if the answer had been lost


@dataclass
class Said:
    """What people sent and were told; keys are those of their verdicts."""

    sent: set[str] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    retries: int = 0
    replayed: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)


class Annotator:
    """Somebody at the desk of one audit who judges until told to stop."""

    def __init__(self, browser: Browser, audit: int, said: Said, stop: threading.Event) -> None:
        self.browser, self.base = browser, f"/audits/{audit}/review/"
        self.said, self.stop = said, stop
        self.rng = random.Random(browser.name)  # noqa: S311 - how long to look, not a secret
        self.queue: deque[dict[str, Any]] = deque()

    async def ask(self, path: str, data: dict[str, Any]) -> tuple[int, Any]:
        """Send until something is answered that more patience wouldn't change."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                request = self.browser.post(self.base + path, data)
                status, answer, _ = await asyncio.wait_for(request, 30)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self.browser.close()
                status, answer = 0, b""
            if status not in AGAIN or time.monotonic() > deadline:
                return status, answer
            self.said.retries += 1
            await asyncio.sleep(0.3)

    async def work(self) -> None:
        """Judge item after item; at the end hand back what is left."""
        while not self.stop.is_set():
            if not self.queue:
                await self.lease()
            await asyncio.sleep(self.rng.uniform(*THINK_SECONDS))
            if self.queue and not self.stop.is_set():
                await self.judge(self.queue.popleft())
        await self.ask("hand-back/", {"slots": [item["slot"] for item in self.queue]})

    async def lease(self) -> None:
        data = {"mode": "full", "later": [], "recall": True, "has": []}
        status, answer = await self.ask("lease/", data)
        if status == 200:
            self.queue.extend(answer["items"])
        else:
            self.said.errors.append(f"lease: {status} {answer!r}")

    async def judge(self, item: dict[str, Any]) -> None:
        key = str(uuid4())
        data = {
            "key": key, "ticket": item["ticket"], "mode": item["mode"], "note": "",
            "verdict": "unsure", "corrected_label": None, "milliseconds": 800,
        }  # fmt: skip
        self.said.sent.add(key)
        status, answer = await self.ask("judgments/", data)
        if status == 200:
            self.said.acknowledged.append(key)
            self.said.replayed += answer["replayed"]
            if self.rng.random() < SENT_TWICE:
                await self.judge_again(data)
        elif status == 409:  # the lease ran out and somebody else took the item
            self.said.refused += 1
        else:
            self.said.errors.append(f"verdict: {status} {answer!r}")

    async def judge_again(self, data: dict[str, Any]) -> None:
        status, answer = await self.ask("judgments/", data)
        if status != 200 or not answer["replayed"]:
            self.said.errors.append(f"the same key again: {status} {answer!r}")
        self.said.replayed += 1


async def enter(port: int, people: list[str], password: str) -> list[Browser]:
    """Log everybody in; a connection belongs to the loop that opened it, so none is kept."""
    browsers = await log_everybody_in(port, people, password)
    await close(browsers)
    return browsers


async def close(browsers: Iterable[Browser]) -> None:
    for browser in browsers:
        browser.close()
    await asyncio.sleep(0.1)  # the loop itself closes them, when it next comes to it


class Crowd:
    """Everybody at once, in a thread of their own; the last of them leaves without a word."""

    def __init__(self, port: int, people: list[str], password: str, audit: int) -> None:
        self.said = Said()
        self._stop = threading.Event()
        browsers = asyncio.run(enter(port, people, password))
        everybody = [Annotator(each, audit, self.said, self._stop) for each in browsers]
        self._workers, self._gone = everybody[:-1], everybody[-1]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    async def _work(self) -> None:
        await self._gone.lease()
        await asyncio.gather(*(person.work() for person in self._workers))
        await close(person.browser for person in (*self._workers, self._gone))

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> Said:
        """Let everybody send what they have in hand, and return what was said."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS + 60)
        assert not self._thread.is_alive(), "somebody still waits for an answer"
        return self.said
