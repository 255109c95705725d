"""A real Chromium against the live server, logged in through the log-in page.

`site` is the live server; `make_page(user)` opens a logged-in page of a browser context of its
own. Every page fails its test on a console error, a page error or a CSP violation, unless the
test says which it expects by appending a substring to `page.expected_errors`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.factories import PASSWORD

CSP_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def take(page: Page, name: str) -> None:
    """Save what the page shows into the folder that PICTURES names, where it names one."""
    if folder := os.environ.get("PICTURES"):
        page.wait_for_timeout(300)  # what fades or slides has come to rest
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the machine's Chromium once."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def make_page(browser: Browser, live_server) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a logged-in page; its errors fail the test at the end."""
    contexts: list[BrowserContext] = []
    troubles: list[tuple[Page, str]] = []

    def make(user: User, *, log_in: bool = True, **options) -> Page:
        options.setdefault("viewport", WIDE)
        context = browser.new_context(base_url=live_server.url, **options)
        context.add_init_script(CSP_WATCH)
        contexts.append(context)
        page = context.new_page()
        page.expected_errors = []
        page.on(
            "console",
            lambda message: (
                troubles.append((page, message.text))
                if message.type in {"error", "warning"}
                else None
            ),
        )
        page.on("pageerror", lambda error: troubles.append((page, str(error))))
        if log_in:
            log_in_through_the_page(page, user)
        return page

    yield make
    for context in contexts:
        context.close()
    unexpected = [
        text
        for page, text in troubles
        if not any(expected in text for expected in page.expected_errors)
    ]
    assert unexpected == []


def log_in_through_the_page(page: Page, user: User) -> None:
    """Fill in the log-in form as a person would."""
    page.goto("/login/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login/" not in url)
