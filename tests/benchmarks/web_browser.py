"""Somebody who judges in Chromium by script: at a person's pace, and as fast as the desk allows.

`python -m tests.benchmarks.web_browser`: a real data set of photo-sized pictures and one of
multiple-choice questions with formulas, real audits, the quick and the full desk. From the key to
the next item on the screen is measured in the page, from the request to its answer by the browser.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from scoring.experts.registry import load_expert
from tests.benchmarks.web_stack import ENGINES, Stack, database_server, percentile, site
from tests.faults.installation import Installation
from tests.faults.site import ADD_USER, NAME, PASSWORD

PASSAGE = "Say it for every number that is given, and mind what a sum of nothing is. " * 6
SIZE = (500, 375)  # ImageNet's usual one
LONGEST = 600
# The time from a key that judges to the frame after the next item is there and can be judged.
WATCH = """
window.painted = [];
addEventListener("keydown", (event) => {
  if (!["q", "w", "Enter"].includes(event.key)) return;
  const pane = document.querySelector("#picture, #text");
  const image = () => pane.querySelector("img");
  const shown = () => image()?.src ?? pane.querySelector("[data-part=question]")?.textContent;
  const before = shown(), begun = performance.now();
  const look = () => {
    const isNext = shown() && shown() !== before && pane.dataset.state === "shown";
    const isWhole = isNext && (!image() || image().complete);
    if (isWhole && !document.querySelector("[data-verdict=unsure]").disabled)
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


def make_picture_audit(installation: Installation, n_items: int) -> int:
    folder = installation.home / "photos"
    manifest = make_pictures(folder, n_items)
    installation.run(
        "import_dataset", "photos", str(manifest), "--format", "manifest", "--root", str(folder)
    )
    return draw(installation, "photos", ("stub:4-1", "stub:4-2"), n_items)


def make_question_audit(installation: Installation, n_items: int) -> int:
    """Bring in sums with a formula, three keys in ten wrong, and what two experts say of them."""
    rng = np.random.default_rng(0)
    right = rng.integers(0, 4, n_items)
    key = (right + (np.arange(n_items) % 10 < 3)) % 4
    lines = [
        json.dumps(
            {
                "question": f"What is $\\sum_{{k=1}}^{{{number}}} k$? {PASSAGE}",
                "choices": [
                    f"$\\frac{{{number} \\cdot {number + 1}}}{{{2 + n}}}$" for n in range(4)
                ],
                "answer": int(key[number]),
            }
        )
        for number in range(n_items)
    ]
    questions = installation.home / "questions.jsonl"
    questions.write_text("\n".join(lines) + "\n")
    installation.run("import_dataset", "sums", str(questions), "--format", "jsonl-mcq")
    for expert, skill in (("small", 2.0), ("large", 4.0)):
        logits = rng.normal(size=(n_items, 4)).astype(np.float32)
        logits[np.arange(n_items), right] += skill
        np.save(installation.home / f"{expert}.npy", logits)
        path = str(installation.home / f"{expert}.npy")
        installation.run("import_scores", "sums", expert, path, "--kind", "logits")
    return draw(installation, "sums", ("small", "large"), n_items)


def draw(installation: Installation, slug: str, experts: tuple[str, str], n_items: int) -> int:
    """Audit a data set and put all its items before the annotators; return the audit's number."""
    audit = installation.json("audit", slug, "--experts", *experts, "--wait")
    size, unflagged = str(audit["disputed"]), str(n_items - audit["disputed"])
    installation.run("draw_sample", str(audit["audit"]), "--size", size, "--unflagged", unflagged)
    return int(audit["audit"])


def judge(page: Page, desk: str, keys: list[str], seconds: float, pace: float) -> str:
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
        for key in keys:
            page.keyboard.press(key)
        n_judged += 1
    took = time.monotonic() - started
    page.wait_for_timeout(1500)
    painted = page.evaluate("window.painted")
    pair = "{:.0f} / {:.0f}"
    paints = pair.format(*(percentile(painted, q) for q in (0.5, 0.95)))
    answers = pair.format(*(percentile(acknowledged, q) for q in (0.5, 0.95)))
    return (
        f"{desk} desk, {pace:g} s an item: {3600 * n_judged / took:,.0f} verdicts an hour; p50/p95 "
        f"ms: next item on the screen {paints} ({len(painted)} of {n_judged} seen), verdict "
        f"acknowledged {answers}; goal p95 <= 100: "
        f"{'met' if percentile(painted, 0.95) <= 100 else 'MISSED'}\n"
    )


def plans(paces: list[float]) -> Iterator[tuple[tuple[str, str, float], list[str]]]:
    """Yield what is judged, at which desk, how fast, and by which keys."""
    keys = {
        ("pictures", "quick"): ["q"],
        ("pictures", "full"): ["1", "Enter"],
        ("questions", "quick"): ["q"],
        ("questions", "full"): ["u", "Enter"],
    }
    for (kind, mode), pressed in keys.items():
        for pace in paces:
            yield (kind, mode, pace), pressed


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
        audits = {
            "pictures": make_picture_audit(installation, LONGEST),
            "questions": make_question_audit(installation, LONGEST),
        }
        installation.run("shell", "-c", ADD_USER)
        served = Stack(options.database, installation, audits["pictures"], [], "", pid)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with site(served) as shown:
            page = browser.new_page(
                base_url=f"http://127.0.0.1:{shown.port}", viewport={"width": 1440, "height": 900}
            )
            page.goto("/login/")
            page.get_by_label("Username").fill(NAME)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            for (kind, mode, pace), keys in plans(options.pace):
                page.goto(f"/audits/{audits[kind]}/review/")
                page.locator(f"[data-act=switch][data-value={mode}]").click()
                line = judge(page, f"{mode} {kind}", keys, options.seconds, pace)
                sys.stdout.write(line)
                sys.stdout.flush()
        browser.close()
        lines = installation.query("SELECT COUNT(*), COUNT(DISTINCT slot_id) FROM reviews_judgment")
        sys.stdout.write(f"{lines[0][0]} verdicts are stored, on {lines[0][1]} items\n")


if __name__ == "__main__":
    main()
