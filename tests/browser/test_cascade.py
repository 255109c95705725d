"""The cascade lab in a real browser: order, wait, read, switch routers, take the table along."""

import itertools
import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from audit.models import Measurement, Role
from reviews.services.measuring import measure
from tests.factories import make_member
from tests.reviews.test_cascade_command import make_audit_of, make_scored_dataset
from tests.reviews.test_cascade_page import measured

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def audit():
    return make_audit_of(make_scored_dataset(), "small", "large")


@pytest.fixture
def page(make_page, audit):
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/cascade/")
    return page


def test_from_choosing_a_pair_to_its_curve_and_its_routing_table(page):
    expect(page.get_by_text("Nothing measured yet")).to_be_visible()
    page.get_by_label("small expert").select_option("small")
    page.get_by_label("large expert").select_option("large")
    page.get_by_label("bins").fill("10")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    assert measure(Measurement.objects.get().pk)
    # The page asks by itself and goes where the figures are.
    page.wait_for_url("**/cascade/?number=1")
    chart = page.locator("[data-chart=routers]")
    expect(chart.locator("svg")).to_contain_text("share the small expert answers")
    expect(page.locator("[data-chart=sweep] svg")).to_contain_text("temperature")
    expect(page.get_by_label("bins", exact=True)).to_have_value("10")

    page.get_by_label("small one answers").select_option("3")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    table = json.loads(download.value.path().read_text())
    assert (table["format"], table["k"], len(table["advantage"])) == (
        "label-audit-cascade-1",
        3,
        10,
    )


def test_switching_a_router_off_takes_its_line_away_and_saving_keeps_all_numbers(page, audit):
    row = measured(audit)
    page.goto(f"/audits/{audit.pk}/cascade/")
    chart = page.locator("[data-chart=routers]")
    paths = chart.locator("svg path")
    expect(chart.locator("svg")).to_be_visible()
    before = paths.count()
    page.get_by_role("checkbox", name="UC raw advantage").uncheck()
    after = paths.count()
    assert after < before
    page.get_by_role("checkbox", name="oracle best possible").check()
    assert paths.count() > after
    with page.expect_download() as download:
        chart.get_by_role("button", name="as CSV").click()
    lines = download.value.path().read_text().splitlines()
    points = sum(len(points) for points in row.document["curves"].values())
    assert lines[0] == "router,k,small ratio,accuracy,low,high"
    assert len(lines) == points + 1


def test_a_measured_page_is_accessible_on_every_screen_in_both_themes(page, audit):
    measured(audit)
    for width, scheme in itertools.product((1440, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        page.goto(f"/audits/{audit.pk}/cascade/")
        page.get_by_text("The bins, those of the small expert first").click()
        found = Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in {"serious", "critical"}]
        assert serious == [], (width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
