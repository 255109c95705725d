"""The curves page in a real browser: the k slider, both themes, downloads, accessibility."""

import re
import shutil
from xml.parsers import expat

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from audit.models import Role
from reviews.models import Sample
from tests.factories import PASSWORD, make_member
from tests.reviews.situations import judge_truthfully, make_wide_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page():
    """A page of a fresh browser; console messages and errors fail the test."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else 0)
        yield page
        browser.close()
        assert problems == []


def log_in(page, live_server, audit):
    make_member(audit.dataset.project, Role.MAINTAINER, "maria")
    page.goto(f"{live_server.url}/login/?next=/audits/{audit.pk}/curves/")
    page.fill("[name=username]", "maria")
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")


def serious_violations(page):
    found = Axe().run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in SERIOUS]


SERIOUS = {"serious", "critical"}


def test_from_drawing_a_sample_to_reading_what_one_k_means(page, live_server):
    audit = make_wide_audit(n_items=1500)
    log_in(page, live_server, audit)
    assert serious_violations(page) == []
    page.fill("[name=size]", "60")
    page.get_by_role("button", name="Draw the sample").click()
    expect(page.get_by_text("no verdict counts yet")).to_be_visible()
    assert serious_violations(page) == []

    judge_truthfully(Sample.objects.get())
    page.reload()
    expect(page.locator("[data-chart=curves] svg")).to_be_visible()
    slider = page.get_by_role("slider", name="top-k bins")
    slider.fill("15")
    expect(page.locator("#at-k h2")).to_have_text("At k = 15")
    expect(page.locator("[data-at=flagged]")).to_have_text(str(audit.queue_counts["ensemble"]))
    expect(page.locator("[data-chart=curves] svg")).to_contain_text("k = 15")
    slider.press("ArrowLeft")
    expect(page.locator("#at-k h2")).to_have_text("At k = 14")
    expect(page.locator("[data-at=link]")).to_have_attribute("href", re.compile("k=14$"))

    lines = page.locator("[data-chart=curves] svg text", has_text="Confident Learning")
    expect(lines).to_have_count(1)
    page.get_by_role("checkbox", name="Confident Learning").uncheck()
    expect(lines).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_serious_accessibility_problem_and_no_sideways_scrolling(
    page, live_server, scheme, width
):
    audit = make_wide_audit(n_items=1500)
    log_in(page, live_server, audit)
    page.get_by_role("button", name="Draw the sample").click()
    expect(page.get_by_text("no verdict counts yet")).to_be_visible()
    judge_truthfully(Sample.objects.get())
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.get_by_text("All points as a table").click()
    page.get_by_text("The strata and how many").click()
    expect(page.locator("[data-chart=curves] svg")).to_be_visible()
    assert serious_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", ["PNG", "SVG", "CSV"])
def test_the_chart_can_be_saved(page, live_server, kind):
    audit = make_wide_audit(n_items=1500)
    log_in(page, live_server, audit)
    page.get_by_role("button", name="Draw the sample").click()
    expect(page.get_by_text("no verdict counts yet")).to_be_visible()
    judge_truthfully(Sample.objects.get())
    page.reload()
    figure = page.locator("[data-chart=curves]")
    with page.expect_download() as download:
        figure.get_by_role("button", name=kind).click()
    path = download.value.path()
    assert download.value.suggested_filename == f"curves.{kind.lower()}"
    starts = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": b"method,set"}
    assert path.read_bytes().startswith(starts[kind])
    if kind == "SVG":
        expat.ParserCreate().Parse(path.read_bytes(), True)
