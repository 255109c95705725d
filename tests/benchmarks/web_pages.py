"""Managers' pages over a large audit: 50,000 flagged items, 10,000 judgments, twenty audits.

`python -m tests.benchmarks.web_pages`: each page asked for again and again by one maintainer, on
the site as it is served; curves and releases also after something new was
said, which makes what is kept of them anew. The processor's time is that of one answer. The
peer is a bare view's page of fifty rows of as large a table, on the same stack in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.web_load import Browser, log_everybody_in
from tests.benchmarks.web_stack import ENGINES, Site, Stack, percentile, site, stack
from tests.faults.installation import ROOT

N_TIMES = 20
PAGES = {
    "start page": "/",
    "audit": "/audits/{audit}/",
    "progress of the runs": "/audits/{audit}/progress/",
    "timeline of the runs": "/audits/{audit}/timeline/",
    "queue": "/audits/{audit}/queue/",
    "queue, its 1,000th page": "/audits/{audit}/queue/?page=1000",
    "queue, one class": "/audits/{audit}/queue/?label=3",
    "queue, pairs of classes": "/audits/{audit}/queue/pairs/",
    "queue, what each k is worth": "/audits/{audit}/queue/figures.json",
    "sampling": "/audits/{audit}/sample/",
    "desk": "/audits/{audit}/review/",
}
LIMIT, CURVES_LIMIT, KEPT_LIMIT = 300, 2000, 50


async def time_page(browser: Browser, path: str) -> float:
    """Return the milliseconds of one answer."""
    started = time.perf_counter()
    status, body = await browser.ask("GET", path)
    assert status == 200, f"{path}: {status} {body[:300]!r}"
    return 1000 * (time.perf_counter() - started)


async def measure(served: Stack) -> list[str]:
    with site(served) as shown:
        (browser,) = await log_everybody_in(shown.port, served.people[:1], served.password)
    with site(served, bare=True) as shown:
        browser.port = shown.port  # the same log-in: both sites share sessions and key
        await time_page(browser, "/rows/")
        used = -processor(shown)
        times = [await time_page(browser, "/rows/") for _ in range(N_TIMES)]
        browser.close()
        bare, least = percentile(times, 0.95), used + processor(shown)
        lines = [describe("bare view, 50 rows", times, LIMIT, least, bare)]
    with site(served) as shown:
        browser.port = shown.port
        for name, path in PAGES.items():
            address = path.format(audit=served.audit)
            await time_page(browser, address)
            used = -processor(shown)
            times = [await time_page(browser, address) for _ in range(N_TIMES)]
            lines.append(describe(name, times, LIMIT, used + processor(shown), bare))
        curves = f"/audits/{served.audit}/curves/"
        releases = f"/audits/{served.audit}/releases/"
        for name, path, limits in (
            ("curves", curves, (CURVES_LIMIT, KEPT_LIMIT)),
            ("releases", releases, (CURVES_LIMIT, LIMIT)),
        ):
            made, kept, used = [], [], [0.0, 0.0]
            for number in range(N_TIMES // 2):
                # What a new verdict does to the name of what is kept.
                change = f"UPDATE reviews_sample SET chain_hash = '{name} {number}'"  # noqa: S608
                served.installation.change(change)
                before = processor(shown)
                made.append(await time_page(browser, path))
                between = processor(shown)
                kept += [await time_page(browser, path) for _ in range(2)]
                used[0] += between - before
                used[1] += processor(shown) - between
            lines.append(describe(f"{name}, made anew", made, limits[0], used[0], bare))
            lines.append(describe(f"{name}, kept", kept, limits[1], used[1], bare))
        browser.close()
        return lines


def processor(shown: Site) -> float:
    """Return the seconds of the processor that site and database have used."""
    return shown.web_seconds() + shown.database_seconds()


def describe(name: str, times: list[float], limit: float, used: float, bare: float) -> str:
    """Return one page's line; milliseconds. `bare`: the bare view's p95."""
    p50, p95 = (percentile(times, share) for share in (0.5, 0.95))
    verdict = "met" if p95 <= limit else "MISSED"
    each = 1000 * used / len(times)
    return (
        f"{name:28}{p50:9.0f} /{p95:6.0f} ms {each:7.0f} ms {p95 / bare:9.1f}"
        f"  <= {limit:5}  {verdict}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_pages")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--judged", type=int, default=10_000)
    parser.add_argument("--database", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="for the databases, on a disk")
    options = parser.parse_args()
    for engine in options.database:
        with stack(engine, options.items, 1, options.folder) as served:
            more = ["--audit", str(served.audit), "--judged", str(options.judged)]
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.web_seed_pages", *more],
                cwd=ROOT, env=served.installation.environment, check=True,
            )  # fmt: skip
            lines = asyncio.run(measure(served))
        sys.stdout.write(
            f"{ENGINES[engine]}, {options.items:,} items flagged by three methods, "
            f"{options.judged:,} judgments, 20 audits; p50 / p95, processor, "
            f"p95 to the bare view's\n{''.join(lines)}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
