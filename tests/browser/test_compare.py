"""Comparing methods in a real browser: points that open their items, switches, plans, files."""

import csv
import io
import json
import re
from xml.parsers import expat

import pytest
from PIL import Image
from playwright.sync_api import expect

from audit.models import Role
from reviews.services.sampling import freeze_sample
from tests.factories import make_member
from tests.reviews.situations import judge, judge_truthfully, make_wide_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def audit():
    audit = make_wide_audit(n_items=1500)
    sample = freeze_sample(audit, size=60, unflagged=60)
    # One person is unsure of a drawn item; the others are judged as they are.
    drawn = sample.items.order_by("order")
    judge_truthfully(sample, 100)
    judge(sample, {drawn[101].item.position: "unsure"})
    return audit


@pytest.fixture
def page(make_page, audit):
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.expected_errors.append("404")  # these items have no pictures
    page.goto(f"/audits/{audit.pk}/curves/")
    expect(page.locator("[data-chart=curves] svg")).to_be_visible()
    return page


def read_report(page):
    return json.loads(page.locator("#curves-data").text_content())


def test_a_point_opens_its_items_by_keyboard(page):
    points = read_report(page)["methods"]["calibrated_ensemble"]["points"]
    canvas = page.locator("[data-chart=curves] .chart-canvas")
    canvas.focus()
    canvas.press("ArrowRight")
    expect(page.locator("#point-told")).to_contain_text("k = 1:")
    canvas.press("ArrowRight")
    expect(page.locator("#point-told")).to_contain_text(f"k = 2: {points[1]['flagged']} items")
    canvas.press("Enter")
    page.wait_for_url(re.compile(r"/queue/\?method=calibrated_ensemble&k=2"))
    expect(page.locator("#results-title")).to_contain_text(f"{points[1]['flagged']} items")


def test_the_next_line_is_reached_by_the_arrow_down_and_opens_its_first_places(page):
    points = read_report(page)["methods"]["confident_learning"]["points"]
    for name in page.locator("[data-method]").all():
        is_wanted = name.get_attribute("data-method") in {
            "calibrated_ensemble",
            "confident_learning",
        }
        name.set_checked(is_wanted)
    canvas = page.locator("[data-chart=curves] .chart-canvas")
    canvas.focus()
    canvas.press("ArrowRight")
    canvas.press("ArrowDown")
    expect(page.locator("#point-told")).to_contain_text("Confident Learning")
    canvas.press("Enter")
    page.wait_for_url(re.compile(r"method=confident_learning&n=\d+"))
    expect(page.locator("#results-title")).to_contain_text(f"{points[0]['flagged']} item")


def test_a_click_on_a_point_opens_its_items(page):
    last = read_report(page)["methods"]["calibrated_ensemble"]["points"][-1]
    for box in page.locator("[data-method]").all():
        box.set_checked(box.get_attribute("data-method") == "calibrated_ensemble")
    place = page.evaluate(
        """([rate, precision]) => {
          const { instance, canvas } = document.querySelector('[data-chart="curves"]');
          const [x, y] = instance.convertToPixel({ gridIndex: 0 }, [rate, precision]);
          const { left, top } = canvas.getBoundingClientRect();
          return [left + x, top + y];
        }""",
        [last["detection_rate"]["estimate"], last["precision"]["estimate"]],
    )
    page.mouse.move(*place)
    page.mouse.click(*place)
    page.wait_for_url(re.compile(r"k=15"))
    expect(page.locator("#results-title")).to_contain_text(f"{last['flagged']} items")


def test_the_switches_change_the_figures_and_stay_in_the_address(page):
    page.get_by_text("custom", exact=True).click()
    page.get_by_role("checkbox", name="wrong label").uncheck()
    page.get_by_role("button", name="Count these").click()
    page.wait_for_url(re.compile("policy=custom"))
    report = read_report(page)
    assert report["errors"] == 0
    assert report["policy"].startswith("custom:")
    page.get_by_role("link", name="lenient").click()
    page.wait_for_url(re.compile("policy=lenient"))
    assert read_report(page)["errors"] > 0
    page.get_by_label("precision ≥").fill("0.3")
    page.get_by_role("button", name="Find k").click()
    page.wait_for_url(re.compile("target=0.3"))
    expect(page.locator("#at-k")).to_contain_text("precision ≥ .30 at 95 % confidence")
    page.get_by_label("second").select_option("ensemble")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile("other=ensemble"))
    assert "target=0.3" in page.url


def test_a_plan_appears_in_its_place(page):
    page.get_by_label("make the").select_option("detection_rate")
    page.get_by_label("bins known to a width of").fill("0.05")
    page.get_by_role("button", name="Plan").click()
    expect(page.locator("#planned")).to_contain_text(re.compile(r"\d more verdicts"))
    expect(page.locator("#planned")).to_contain_text("it can't grow")


@pytest.mark.parametrize("kind", ["curves", "bins", "differences"])
def test_saved_pictures_open_and_the_saved_table_is_the_report(page, kind, tmp_path):
    figure = page.locator(f"[data-chart={kind}]")
    files = {}
    for ending in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            figure.get_by_role("button", name=ending).click()
        files[ending] = download.value.path().read_bytes()
    picture = Image.open(io.BytesIO(files["PNG"]))
    picture.load()
    assert picture.format == "PNG"
    assert picture.width > 500
    assert len(set(picture.convert("RGB").resize((64, 64)).getdata())) > 3  # something is drawn
    expat.ParserCreate().Parse(files["SVG"], True)
    rows = list(csv.DictReader(io.StringIO(files["CSV"].decode())))
    report = read_report(page)
    if kind == "curves":
        expected = [
            point["precision"]["low"]
            for described in report["methods"].values()
            for point in described["points"]
        ]
        assert [float(row["precision low"]) for row in rows] == expected
    elif kind == "bins":
        bins = report["methods"]["calibrated_ensemble"]["bins"]
        assert [int(row["judged"]) for row in rows] == [each["judged"] for each in bins]
    else:
        shown = [row for row in report["equal_detection"] if row["b"] == "confident_learning"]
        shown = [row for row in shown if row["a"] == "calibrated_ensemble"]
        assert [float(row["low"]) for row in rows] == [row["difference"]["low"] for row in shown]


def test_the_table_of_points_unfolds_and_leads_to_items(page):
    page.get_by_text("All points as a table").click()
    page.locator("#points-tables").get_by_role("link", name="k = 3", exact=True).click()
    page.wait_for_url(re.compile(r"method=calibrated_ensemble&k=3"))


def test_on_a_phone_nothing_is_wider_than_the_screen(page):
    page.set_viewport_size({"width": 360, "height": 780})
    page.reload()
    page.get_by_text("custom", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_queues_slider_says_what_a_k_is_worth(page, audit):
    point = read_report(page)["methods"]["calibrated_ensemble"]["points"][3]
    page.goto(f"/audits/{audit.pk}/queue/")
    page.get_by_role("slider", name="top-k bins").fill("4")
    written = f"{point['precision']['estimate']:.2f}".replace("0.", ".", 1)
    expect(page.locator("#k-told")).to_contain_text(f"in the top 4: precision {written}")
    expect(page.locator("#k-told")).to_contain_text("s a verdict so far")


def test_an_item_opens_with_what_people_said(page, audit):
    page.goto(f"/audits/{audit.pk}/queue/")
    page.locator("[data-item]").first.click()
    expect(page.locator("#item-dialog .told")).to_contain_text("People's verdicts:")
