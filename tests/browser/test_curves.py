"""The curves and release pages in a real browser: slider, themes, downloads, accessibility."""

import itertools
import re
from xml.parsers import expat

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from audit.models import Role
from reviews.models import Release, Sample
from reviews.services.releases import build_release
from tests.factories import make_member
from tests.reviews.situations import judge_truthfully, make_wide_audit
from tests.reviews.test_releases import make_judged_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def audit():
    return make_wide_audit(n_items=1500)


@pytest.fixture
def page(make_page, audit):
    """The curves page as a maintainer opens it, before a sample is drawn."""
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/curves/")
    return page


def serious_violations(page):
    found = Axe().run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in SERIOUS]


SERIOUS = {"serious", "critical"}


def draw_sample(page, size: int = 300) -> None:
    """From the curves page to the sampling page, and back with a sample drawn."""
    page.get_by_role("link", name="Draw a sample").click()
    page.wait_for_url("**/sample/")  # loaded: the script listens to the form
    page.get_by_label("flagged items", exact=True).fill(str(size))
    expect(page.locator("#plan")).to_contain_text(f"{size + 100} of 1,500 items")
    page.get_by_role("button", name="Draw the sample").click()
    expect(page.get_by_role("heading", name="Drawn, not yet frozen")).to_be_visible()
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("no verdict counts yet")).to_be_visible()


def test_from_drawing_a_sample_to_reading_what_one_k_means(page, audit):
    assert serious_violations(page) == []
    draw_sample(page, 60)
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


def test_the_judged_page_is_accessible_in_both_themes_and_its_charts_can_be_saved(page):
    draw_sample(page, 150)
    judge_truthfully(Sample.objects.get())
    for width, scheme in itertools.product((1440, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.get_by_text("All points as a table").click()
        expect(page.locator("[data-chart=curves] svg")).to_be_visible()
        assert serious_violations(page) == [], (width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width

    figure = page.locator("[data-chart=curves]")
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"method,set")):
        with page.expect_download() as download:
            figure.get_by_role("button", name=kind).click()
        assert download.value.suggested_filename == f"curves.{kind.lower()}"
        content = download.value.path().read_bytes()
        assert content.startswith(start)
        if kind == "SVG":
            expat.ParserCreate().Parse(content, True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_release_is_ordered_watched_and_downloaded(make_page, scheme):
    audit = make_judged_audit()
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER), color_scheme=scheme)
    page.goto(f"/audits/{audit.pk}/releases/")
    expect(page.locator(".change-row")).to_have_count(3)
    page.get_by_role("button", name="Build with the lenient policy").click()
    expect(page.locator("#releases")).to_contain_text("waiting")
    assert serious_violations(page) == []
    build_release(Release.objects.get().pk)
    expect(page.locator("#releases")).to_contain_text("ready")
    with page.expect_download() as download:
        page.get_by_role("link", name="labels.csv").click()
    assert download.value.path().read_text().startswith("key,given_label,")
    assert serious_violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
