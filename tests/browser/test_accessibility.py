"""axe on every page that the site has: none is listed here, so that no new one is forgotten."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, Route

from audit.config.web_worker import TOO_LARGE
from audit.models import Role
from reviews.models import Policy
from reviews.services.releases import order_release
from reviews.services.sampling import freeze_sample
from tests.factories import make_member
from tests.reviews.situations import judge, make_mixed_audit
from tests.test_access import all_patterns, fill

pytestmark = pytest.mark.browser
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
CONTRAST = {"runOnly": ["color-contrast"]}  # what another colour scheme can change
# Files and answers to scripts; every other address must show a page or a part of one.
NO_PAGES = {
    "logout", "release_archive", "release_file", "cascade_data", "cascade_csv", "cascade_table",
    "second_pass_data", "curves_plan_csv",
}  # fmt: skip
QUERIES = {"release_diff": "?before=1&after=2"}  # what an address can't answer without
KNOWN = {
    "home", "audit_new", "audit_detail", "calibration", "queue", "queue_item", "curves",
    "sampling", "releases", "desk", "cascade",
}  # fmt: skip


def find_pages(client: Client, audit) -> dict[str, str]:
    """Return the addresses that answer with a whole page, by name."""
    item = audit.dataset.items.first()
    pages = {}
    for name, route in all_patterns().items():
        if name in NO_PAGES:
            continue
        path = fill(route, audit.pk, item.pk) + QUERIES.get(name, "")
        assert "<" not in path, f"tell fill() in test_access.py what belongs into {path}"
        answer = client.get(path)
        assert answer.status_code in {200, 204, 302, 405}, f"{path}: {answer.status_code}"
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        if answer.status_code == 200 and is_page and b"<html" in answer.content:
            pages[name] = path
    # Requests under /api/ have addresses of their own; this is the one page among them.
    pages["api_reference"] = "/api/v1/docs"
    return pages


def look(page: Page, options: dict | None = None) -> list[str]:
    """Return what is wrong with the page as it is."""
    found = Axe().run(page, options=options).response["violations"]
    wrong = [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        wrong.append("it scrolls sideways")
    return wrong


def test_axe_finds_nothing_serious_on_any_page_on_any_screen_in_either_scheme(make_page, client):
    audit = make_mixed_audit()
    sample = freeze_sample(audit, size=40, unflagged=20)
    drawn = list(sample.items.order_by("order").values_list("item__position", flat=True)[:20])
    judge(sample, {place: ("wrong_label", "label_correct")[place % 2] for place in drawn})
    admin = make_member(audit.dataset.project, Role.ADMIN)
    for policy in Policy:
        order_release(audit, policy, admin)
    client.force_login(admin)
    pages = find_pages(client, audit)
    assert pages.keys() >= KNOWN
    page = make_page(admin)
    page.expected_errors.append("404")
    wrong: dict[str, list[str]] = {}
    for name, path in {**pages, "no such page": "/nothing/"}.items():
        page.set_viewport_size(DESKTOP)
        page.emulate_media(color_scheme="light")
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                for each in look(page, None if scheme == "light" else CONTRAST):
                    wrong.setdefault(f"{name}, {size['width']} px, {scheme}", []).append(each)
    assert wrong == {}


def test_axe_finds_nothing_serious_on_pages_of_errors(make_page, settings):
    page = make_page(None, log_in=False)
    page.expected_errors += ["404", "page-address"]
    folder = settings.BASE_DIR / "templates"
    errors = [path.name for path in sorted(folder.glob("[45]*.html"))]
    assert {"400.html", "404.html", "405.html", "413.html", "500.html", "503.html"} <= set(errors)
    said = {"megabytes": 1, "fields": 500, "written": [("note", "a word")]}
    pages = {name: render_to_string(name, said) for name in errors} | {"worker.html": TOO_LARGE}

    def answer(route: Route) -> None:
        route.fulfill(body=pages[route.request.url.rpartition("/")[2]], content_type="text/html")

    page.route(re.compile(r"/\w+\.html$"), answer)
    for name in pages:
        page.goto(f"/{name}")
        # They are all made of the same few parts: every other pair of screen and scheme does.
        for size, scheme, options in ((DESKTOP, "light", None), (PHONE, "dark", CONTRAST)):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            assert look(page, options) == [], name


def test_axe_finds_nothing_serious_on_the_log_in_page(make_page, client):
    page = make_page(None, log_in=False)
    page.goto(reverse("login"))
    for size in (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            assert look(page) == []
