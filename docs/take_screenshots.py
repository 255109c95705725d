"""Take every picture of the site that the documentation shows, light and dark, by one command.

    .venv/bin/python docs/take_screenshots.py [NAME ...]

starts the demonstration in a folder of its own, has two people judge two thirds of the sample (they
know the planted truth, and slip now and then), orders measurements and a release on their pages,
and walks through the site. With names it takes those pictures alone. Ten minutes on two busy cores.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from random import Random
from uuid import UUID

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).parent / "images"
SIZE = {"width": 1200, "height": 750}
COLOURS = 64
PEOPLE = ("ada", "grace")
SLIPS = 0.06
JUDGED_EACH = 270
PATIENCE = 300_000  # milliseconds that a measurement may take on a busy machine
Log_in = tuple[str, str]


def main() -> None:
    """Start the site, fill it with work, show and save each page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], help="default: all")
    names = parser.parse_args().names or list(PICTURES)
    os.environ["LABEL_AUDIT_HOME"] = tempfile.mkdtemp(prefix="label-audit-pictures-")
    with running_demo() as (address, log_in):
        truth = judge_sample()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=SIZE, base_url=address)
            page.set_default_timeout(PATIENCE)
            enter(page, log_in)
            order_work(page)
            for name in names:
                address_of, prepare = PICTURES[name]
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    take(page, name if scheme == "light" else f"{name}-dark", address_of, prepare)
                    if name == "desk":
                        tick_truth(page, truth)
                        save(page, "desk" if scheme == "light" else "desk-dark")
            browser.close()


@contextmanager
def running_demo() -> Iterator[tuple[str, Log_in]]:
    """Run `manage.py demo` until the block ends; gives its address and the admin's log-in."""
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--port", "8765"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        address, log_in = "", ("", "")
        for line in demo.stdout or ():
            if found := re.search(r"http://\S+", line):
                address = found[0]
            if found := re.match(r" +admin +(\S+) / (\S+)", line):
                log_in = (found[1], found[2])
            if "Ctrl-C" in line:
                break
        if not address:
            raise SystemExit("the demonstration didn't start")
        yield address, log_in
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(60)
        shutil.rmtree(os.environ["LABEL_AUDIT_HOME"])


def judge_sample() -> dict[int, int]:
    """Draw a sample for two people and judge most of it; returns the true class by item."""
    sys.path.insert(0, str(ROOT))
    os.environ["DJANGO_SETTINGS_MODULE"] = "audit.config.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from audit.models import Audit, Role

    audit = Audit.objects.get()
    with Path(os.environ["LABEL_AUDIT_HOME"], "demo", "truth.csv").open(encoding="utf-8") as file:
        truth_of_key = {row["key"]: int(row["labels"]) for row in csv.DictReader(file)}
    truth = {pk: truth_of_key[key] for pk, key in audit.dataset.items.values_list("pk", "key")}
    call_command("draw_sample", audit.pk, size=300, unflagged=100, again=True, votes_per_item=2,
                 no_third_vote=True, stdout=sys.stderr)  # fmt: skip
    for name in PEOPLE:
        role = Role.ANNOTATOR.label
        call_command("add_member", name, project="demo", role=role, stdout=sys.stderr)
        judge_as(name, truth)
    return truth


def judge_as(name: str, truth: dict[int, int]) -> None:
    """Judge the next items as somebody who is wrong or unsure now and then."""
    from django.contrib.auth.models import User

    from reviews.models import Sample, Verdict
    from reviews.services.judgments import Answer, record_judgment
    from reviews.services.leases import claim_slots, hand_back

    person, sample, rng = User.objects.get(username=name), Sample.objects.get(), Random(name)  # noqa: S311
    for _ in range(JUDGED_EACH):
        slot = claim_slots(sample, person)[0]
        item = slot.sampled_item.item
        right = truth[item.pk]
        pace = {"milliseconds": rng.randrange(1200, 6000)}
        if rng.random() < SLIPS:
            answer = Answer(Verdict.UNSURE, **pace)
        elif (right == item.given_label) != (rng.random() < SLIPS):
            answer = Answer(Verdict.LABEL_CORRECT, **pace)
        else:
            other = right if right != item.given_label else (right + 1) % 10
            answer = Answer(Verdict.WRONG_LABEL, corrected_label=other, **pace)
        record_judgment(person, slot.pk, slot.epoch, UUID(int=rng.getrandbits(128)), answer)
    hand_back(sample, person, [slot.pk for slot in claim_slots(sample, person)])


def enter(page: Page, log_in: Log_in) -> None:
    """Log in through the log-in page."""
    page.goto("/login/")
    page.get_by_label("Username").fill(log_in[0])
    page.get_by_label("Password").fill(log_in[1])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login/" not in url)


def order_work(page: Page) -> None:
    """Have the worker measure and release what the pictures show, by the pages' own buttons."""
    page.goto("/audits/1/releases/")
    page.get_by_role("button", name="Build with the lenient policy").click()
    page.get_by_role("link", name="labels.csv").first.wait_for()
    page.goto("/audits/1/calibration/")
    page.get_by_role("button", name="Fit all calibrators").click()
    page.get_by_role("button", name="Fit them again").wait_for()
    page.goto("/audits/1/cascade/")
    page.get_by_label("small expert").select_option("crossfit:test_vit")
    page.get_by_label("large expert").select_option("crossfit:test_resnet")
    page.get_by_role("button", name="Measure").click()
    page.locator(".legend [data-router]").first.wait_for()
    page.goto("/audits/1/second-pass/")
    page.get_by_role("button", name="Measure").click()
    page.locator("main table").first.wait_for()


def take(page: Page, name: str, address: str, prepare: Callable[[Page], None]) -> None:
    """Open a page, bring it to what the picture shows, and save it."""
    answer = page.goto(address)
    if answer is None or not answer.ok:
        raise SystemExit(f"{address} shows no page to take a picture of")
    prepare(page)
    save(page, name)


def tick_truth(page: Page, truth: dict[int, int]) -> None:
    """Tick what the picture shows, as somebody at work would."""
    source = page.locator("#picture img, img#picture").first.get_attribute("src") or ""
    found = re.search(r"/items/(\d+)/", source)
    if found is None:
        raise SystemExit(f"the desk's picture comes from {source!r}")
    names = page.locator(".tick .class-name").all_inner_texts()
    page.keyboard.press(str(names.index(str(truth[int(found[1])])) + 1))
    page.wait_for_timeout(300)


def save(page: Page, name: str) -> None:
    """Save what the page shows with few colours: text and charts need no more."""
    page.wait_for_timeout(1000)  # charts draw themselves in
    FOLDER.mkdir(exist_ok=True)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def as_it_is(_page: Page) -> None:
    """Show the top of the page."""


def at(selector: str) -> Callable[[Page], None]:
    """Return what brings a part of the page to its top."""

    def scroll(page: Page) -> None:
        part = page.locator(selector).first
        part.wait_for()
        part.evaluate("part => window.scrollTo(0, part.getBoundingClientRect().top - 70)")

    return scroll


def open_first_dispute(page: Page) -> None:
    """Open the first item whose votes differ."""
    page.locator("main a[href*='/adjudication/']").first.click()
    page.locator("main img").first.wait_for()


def wait_for_desk(page: Page) -> None:
    """Wait until picture and examples are there."""
    page.locator("#picture[data-state=shown]").wait_for()
    page.wait_for_timeout(1000)


PICTURES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "home": ("/", as_it_is),
    "new_audit": ("/audits/new/", as_it_is),
    "audit": ("/audits/1/", as_it_is),
    "calibration": ("/audits/1/calibration/", as_it_is),
    "calibrators": ("/audits/1/calibration/", at("#bench")),
    "queue": ("/audits/1/queue/", as_it_is),
    "sample": ("/audits/1/sample/", as_it_is),
    "desk": ("/audits/1/review/", wait_for_desk),
    "adjudication": ("/audits/1/adjudication/", open_first_dispute),
    "agreement": ("/audits/1/agreement/", as_it_is),
    "compare": ("/audits/1/curves/", as_it_is),
    "curves": ("/audits/1/curves/?truth=votes:planted", as_it_is),
    "releases": ("/audits/1/releases/", as_it_is),
    "cascade": ("/audits/1/cascade/", at("main h2:has-text('crossfit')")),
    "second_pass": ("/audits/1/second-pass/", as_it_is),
}


if __name__ == "__main__":
    main()
