"""Small pictures of the queue, made and kept, beside a static file: row L11.

`python -m tests.benchmarks.web_thumbs`: requests come at a fixed rate, whether or not the one
before was answered; the peer is an icon that the same web processes serve at the same rate. There
are no answers "unchanged": pictures are immutable, and a browser that has one doesn't ask.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.web_browser import make_pictures
from tests.benchmarks.web_load import Browser
from tests.benchmarks.web_stack import ENGINES, Stack, database_server, percentile, site
from tests.faults.installation import Installation
from tests.faults.site import ADD_USER, NAME, PASSWORD

N_CONNECTIONS, GOAL = 12, 200.0
COLD_RATE, KEPT_RATE = 10.0, 100.0
STATIC = "/static/icon.png"


async def ask_at(browsers: Sequence[Browser], paths: Sequence[str], rate: float) -> list[float]:
    """Ask for every path in turn at a rate; return each answer's milliseconds."""
    free: asyncio.Queue[Browser] = asyncio.Queue()
    for browser in browsers:
        free.put_nowait(browser)
    times: list[float] = []

    async def one(path: str, due: float) -> None:
        browser = await free.get()
        status, _ = await browser.ask("GET", path)
        free.put_nowait(browser)
        times.append(1000 * (time.perf_counter() - due))  # waiting for a connection counts
        assert status == 200, f"{path}: {status}"

    started = time.perf_counter()
    tasks = []
    for number, path in enumerate(paths):
        due = started + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(path, due)))
    await asyncio.gather(*tasks)
    return times


async def measure(served: Stack, items: Sequence[int], seconds: float) -> dict[str, list[float]]:
    with site(served) as shown:
        browsers = [Browser(shown.port, NAME) for _ in range(N_CONNECTIONS)]
        await browsers[0].log_in(PASSWORD)
        for browser in browsers[1:]:
            browser.cookies = browsers[0].cookies
        thumbs = [f"/items/{pk}/thumb/" for pk in items]
        n_kept = int(KEPT_RATE * seconds)
        again = list(itertools.islice(itertools.cycle(thumbs), n_kept))
        found = {
            "made at 10/s": await ask_at(browsers, thumbs, COLD_RATE),
            "kept at 100/s": await ask_at(browsers, again, KEPT_RATE),
            "static file at 100/s": await ask_at(browsers, [STATIC] * n_kept, KEPT_RATE),
        }
        for browser in browsers:
            browser.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_thumbs")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=["sqlite"])
    options = parser.parse_args()
    for engine in options.database:
        with (
            tempfile.TemporaryDirectory(prefix="label-audit-thumbs-") as name,
            database_server(engine, Path(name)) as (url, pid),
        ):
            installation = Installation(Path(name, "home"), database=url)
            manifest = make_pictures(Path(name, "pictures"), options.pictures)
            installation.run(
                "import_dataset", "photos", str(manifest), "--format", "manifest",
                "--root", str(manifest.parent),
            )  # fmt: skip
            installation.run("shell", "-c", ADD_USER)
            items = [pk for (pk,) in installation.query("SELECT id FROM audit_item ORDER BY id")]
            served = Stack(engine, installation, 0, [NAME], PASSWORD, pid)
            found = asyncio.run(measure(served, items, options.seconds))
        least = percentile(found["static file at 100/s"], 0.95)
        for said, times in found.items():
            p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
            sys.stdout.write(
                f"L11 {ENGINES[engine]}: {said:21} p50 {p50:6.1f} p95 {p95:6.1f} ms, "
                f"{p95 / least:5.2f} of a static file; goal p95 <= {GOAL:.0f}: "
                f"{'met' if p95 <= GOAL else 'MISSED'}\n"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
