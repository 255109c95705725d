"""Somebody who judges in Chromium by script: at a person's pace, and as fast as the desk allows.

`python -m tests.benchmarks.web_browser`: a real data set of photo-sized pictures, a real audit, the
quick and the full desk. From the key to the next picture on the screen is measured in the page,
from the request to its answer by the browser.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from scoring.experts.registry import load_expert
from tests.benchmarks.web_stack import ENGINES, Stack, database_server, percentile, site
from tests.faults.installation import Installation
from tests.faults.site import ADD_USER, NAME, PASSWORD

SIZE = (500, 375)  # ImageNet's usual one
LONGEST = 600
# The time from a key that judges to the frame after the next picture is there and can be judged.
WATCH = """
window.painted = [];
addEventListener("keydown", (event) => {
  if (!["q", "w", "Enter"].includes(event.key)) return;
  const pane = document.getElementById("picture"), before = pane.querySelector("img")?.src;
  const begun = performance.now();
  const look = () => {
    const image = pane.querySelector("img");
    const isNext = image && image.src !== before && pane.dataset.state === "shown";
    if (isNext && image.complete && !document.querySelector("[data-verdict=unsure]").disabled)
      window.painted.push(performance.now() - begun);
    else if (performance.now() - begun < 5000) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""


def make_pictures(folder: Path, n_items: int) -> Path:
    """Write photo-like JPEG files of about 100 KB and their manifest; return the manifest."""
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 60, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    expert = load_expert("stub:4-1")
    rows = ["key,label,image"]
    folder.mkdir()
    for number in range(n_items):
        small = Image.fromarray(rng.integers(0, 195, (12, 16, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC)) + grain
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(pixels).save(path, quality=90)
        with Image.open(path) as picture:
            label = int(expert.predict([picture.convert("RGB")]).argmax())
        # What the expert says, but for three labels in ten: an audit refuses what looks renumbered.
        rows.append(f"{path.stem},{(label + (number % 10 < 3)) % 4},{path.name}")
    manifest = folder / "labels.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def make_audit(installation: Installation, n_items: int) -> int:
    folder = installation.home / "photos"
    manifest = make_pictures(folder, n_items)
    installation.run(
        "import_dataset", "photos", str(manifest), "--format", "manifest", "--root", str(folder)
    )
    audit = installation.json("audit", "photos", "--experts", "stub:4-1", "stub:4-2", "--wait")
    number = int(audit["audit"])
    size, unflagged = str(audit["disputed"]), str(n_items - audit["disputed"])
    installation.run("draw_sample", str(number), "--size", size, "--unflagged", unflagged)
    installation.run("shell", "-c", ADD_USER)
    return number


def judge(page: Page, mode: str, seconds: float, pace: float) -> str:
    """Judge for so long, looking at each item for `pace` seconds; return a line of figures."""
    rng = random.Random(0)  # noqa: S311 - how long somebody looks
    acknowledged: list[float] = []
    page.on(
        "requestfinished",
        lambda request: (
            acknowledged.append(request.timing["responseEnd"])
            if request.url.endswith("/judgments/")
            else None
        ),
    )
    can_judge = "[data-verdict=unsure]:not([disabled])"
    page.wait_for_selector(can_judge)
    page.evaluate(WATCH)
    started, n_judged = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        page.wait_for_selector(can_judge)
        page.wait_for_timeout(1000 * pace * rng.uniform(0.7, 1.3) if pace else 205)
        for key in "q" if mode == "quick" else ["1", "Enter"]:
            page.keyboard.press(key)
        n_judged += 1
    took = time.monotonic() - started
    page.wait_for_timeout(1500)
    painted = page.evaluate("window.painted")
    pair = "{:.0f} / {:.0f}"
    paints = pair.format(*(percentile(painted, q) for q in (0.5, 0.95)))
    answers = pair.format(*(percentile(acknowledged, q) for q in (0.5, 0.95)))
    return (
        f"{mode} desk, {pace:g} s an item: {3600 * n_judged / took:,.0f} verdicts an hour; p50/p95 "
        f"ms: next item on the screen {paints} ({len(painted)} of {n_judged} seen), verdict "
        f"acknowledged {answers}; goal p95 <= 100: "
        f"{'met' if percentile(painted, 0.95) <= 100 else 'MISSED'}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.web_browser")
    parser.add_argument("--database", choices=ENGINES, default="sqlite")
    parser.add_argument("--seconds", type=float, default=30, help="for each desk and pace")
    parser.add_argument("--pace", type=float, nargs="+", default=[2.5, 0.0])
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stdout.write("no chromium on this machine: nothing to measure\n")
        return
    with (
        tempfile.TemporaryDirectory(prefix="label-audit-web-") as name,
        database_server(options.database, Path(name)) as (url, pid),
        sync_playwright() as playwright,
    ):
        installation = Installation(Path(name, "home"), database=url)
        audit = make_audit(installation, LONGEST)
        served = Stack(options.database, installation, audit, [], "", pid)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with site(served) as shown:
            page = browser.new_page(
                base_url=f"http://127.0.0.1:{shown.port}", viewport={"width": 1440, "height": 900}
            )
            page.goto("/login/")
            page.get_by_label("Username").fill(NAME)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            for mode in ("quick", "full"):
                for pace in options.pace:
                    page.goto(f"/audits/{audit}/review/")
                    page.locator(f"[data-act=switch][data-value={mode}]").click()
                    sys.stdout.write(judge(page, mode, options.seconds, pace))
                    sys.stdout.flush()
        browser.close()
        lines = installation.query("SELECT COUNT(*), COUNT(DISTINCT slot_id) FROM reviews_judgment")
        sys.stdout.write(f"{lines[0][0]} verdicts are stored, on {lines[0][1]} items\n")


if __name__ == "__main__":
    main()
