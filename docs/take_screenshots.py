"""Take the pictures of the README from a running demonstration.

`make demo` prints address, name and password; then
`.venv/bin/python docs/take_screenshots.py ADDRESS NAME PASSWORD CLASS`, where CLASS is what the
first picture at the desk shows: look at it before.
"""

from __future__ import annotations

import argparse
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
SIZE = {"width": 1200, "height": 750}


def main() -> None:
    """Log in, show what there is to see, save it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("name")
    parser.add_argument("password")
    parser.add_argument("shown_class")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, base_url=options.address)
        page.goto("/login/")
        page.get_by_label("Username").fill(options.name)
        page.get_by_label("Password").fill(options.password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login/" not in url)
        page.get_by_role("link", name="Review").first.click()
        show_ticked_item(page, options.shown_class)
        save(page, "desk")
        for name in ("curves/?truth=votes:planted", "calibration/", "queue/"):
            answer = page.goto(f"/audits/1/{name}")
            if answer is None or not answer.ok:
                raise SystemExit(f"{page.url} shows no page to take a picture of")
            page.wait_for_timeout(1000)  # the charts draw themselves in
            save(page, name.partition("/")[0])
        browser.close()


def show_ticked_item(page: Page, shown_class: str) -> None:
    """Tick what the picture shows, as somebody at work would."""
    page.locator("#picture[data-state=shown]").wait_for()
    page.wait_for_timeout(1000)  # the examples of each class are here too
    names = page.locator(".tick .class-name").all_inner_texts()
    page.keyboard.press(str(names.index(shown_class) + 1))


def save(page: Page, name: str) -> None:
    """Save what the page shows with 256 colours, which halves the file."""
    FOLDER.mkdir(exist_ok=True)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
