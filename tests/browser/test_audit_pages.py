"""The audit pages in a real browser: no error, no refused style, filters, slider, Back, keys."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from audit.models import Audit, AuditExpert, Chunk, Dataset, Role, ScoreSet, Worker
from audit.services.calibration import describe_calibration
from scoring.expert_calibration import calibrate_expert
from tests.factories import (
    make_dataset,
    make_member,
    make_project,
    make_questions,
    make_ready_audit,
    make_sample,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SERIOUS = {"serious", "critical"}


def open_page(make_page, project, path="/", **options):
    """Return a maintainer's page at a path."""
    page = make_page(make_member(project, Role.MAINTAINER), **options)
    page.goto(path)
    return page


def make_pictured_audit(n_flags=60, n_bins=5):
    """A ready audit with real calibration figures, three classes and a sample."""
    dataset = make_dataset(n_items=90, n_classes=3, notice="Planted on purpose.")
    audit = make_ready_audit(dataset, n_flags=n_flags, n_bins=n_bins)
    for expert in audit.experts.all():
        rng = np.random.default_rng(expert.order)
        labels = rng.integers(0, 3, 400)
        logits = rng.normal(size=(400, 3)) * 2.5
        logits[np.arange(400), labels] += 3.0
        calibration = calibrate_expert(logits, labels, np.arange(400) % 2 == 0, n_bins=n_bins)
        expert.calibration = describe_calibration(audit, calibration)
        expert.save()
    make_sample(audit, n_items=8)
    return audit


def make_running_audit(dataset):
    audit = Audit.objects.create(dataset=dataset)
    for order in range(2):
        score_set = ScoreSet.objects.create(dataset=dataset, expert=f"run:{order}", source="run")
        AuditExpert.objects.create(audit=audit, score_set=score_set, order=order)
        Chunk.objects.create(score_set=score_set, start=0, stop=dataset.n_items)
    return audit


def serious_violations(page):
    found = Axe().run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in SERIOUS]


HOSTILE = [
    (
        "<script>alert(1)</script> {{7*7}} {% debug %} [x](javascript:alert(1)) "
        "<img src=x onerror=alert(1)>"
    ),
    "\u202egnirts desrever \u200b" + "Z" + "\u0301\u0323" * 5_000,
    "word" * 200,
    "\n".join(f"{number}. One of forty lines of a question." for number in range(40)),
]


@pytest.mark.parametrize("width", [1440, 390])
def test_b090_b091_hostile_questions_are_text_inside_their_own_lines(make_page, width):
    dataset = make_questions(n_items=8, n_choices=10)
    for item, text in zip(dataset.items.order_by("position"), HOSTILE, strict=False):
        item.question, item.choices, item.subject = text, [text, *"bcdefghij"], text[:255]
        item.quarantine_detail = text[:500]
        item.save()
    dataset.items.filter(position=7).update(
        quarantine_code="too_long", quarantine_detail=HOSTILE[0]
    )
    audit = make_ready_audit(dataset, n_flags=6)
    size = {"width": width, "height": 844}
    page = open_page(make_page, dataset.project, viewport=size)
    page.on("dialog", lambda dialog: pytest.fail(f"a script of the data ran: {dialog.message}"))
    items = [f"/audits/{audit.pk}/queue/{each.pk}/" for each in dataset.items.all()[:4]]
    for path in (f"/audits/{audit.pk}/", f"/audits/{audit.pk}/queue/", *items):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        for text in page.locator(".foreign").all():
            assert text.evaluate("each => getComputedStyle(each).overflow") == "hidden"
    page.goto(items[0])
    expect(page.locator(".question")).to_have_text(HOSTILE[0])
    page.goto(f"/audits/{audit.pk}/queue/")
    assert page.locator(".key-cell").first.bounding_box()["width"] > 150


def results_title(page):
    return page.locator("#results-title")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_serious_accessibility_problem_and_no_sideways_scrolling(make_page, scheme, width):
    audit = make_pictured_audit()
    project = audit.dataset.project
    running = make_running_audit(make_dataset(project))
    failed = Audit.objects.create(dataset=audit.dataset, state="failed", error="no weights")
    listed = make_ready_audit(make_dataset(project))
    Dataset.objects.filter(pk=listed.dataset_id).update(root="")
    size = {"width": width, "height": 844}
    page = open_page(make_page, project, viewport=size, color_scheme=scheme)
    for path in [
        "/",
        f"/audits/new/?dataset={audit.dataset_id}",
        f"/audits/{audit.pk}/",
        f"/audits/{running.pk}/",
        f"/audits/{failed.pk}/",
        f"/audits/{audit.pk}/calibration/",
        f"/audits/{running.pk}/calibration/",
        f"/audits/{audit.pk}/queue/",
        f"/audits/{listed.pk}/queue/",
        f"/audits/{audit.pk}/queue/{audit.dataset.items.first().pk}/",
        f"/audits/{audit.pk}/sample/",
        f"/audits/{listed.pk}/sample/",
        f"/audits/{running.pk}/sample/",
    ]:
        page.goto(path)
        assert serious_violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_the_slider_changes_the_count_at_once_and_the_grid_when_it_rests(make_page):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/queue/")
    expect(page.locator("#k-figure")).to_contain_text("60 items in the top 5 of 5")
    slider = page.get_by_label("top-k bins")
    slider.evaluate("(slider) => { slider.value = 2; slider.dispatchEvent(new Event('input')); }")
    expect(page.locator("#k-figure")).to_contain_text("24 items in the top 2 of 5")
    expect(results_title(page)).to_contain_text("60 items")
    slider.press("ArrowLeft")
    expect(page.locator("#k-figure")).to_contain_text("12 items in the top 1 of 5")
    expect(results_title(page)).to_contain_text("12 items")
    expect(page.locator(".flag")).to_have_count(12)
    expect(page).to_have_url(re.compile(r"\?method=calibrated_ensemble&k=1$"))


def test_filters_narrow_the_grid_and_back_undoes_them_one_by_one(make_page):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/queue/")
    page.get_by_label("given label").select_option(label="class 0 (20)")
    expect(results_title(page)).to_contain_text("20 items")
    expect(page.locator("#k-figure")).to_contain_text("20 items in the top 5 of 5")
    page.get_by_label("bin", exact=True).select_option("1")
    expect(results_title(page)).to_contain_text("4 items")
    expect(page.locator("#k-figure")).to_contain_text("4 items in bin 1")
    expect(page.get_by_label("top-k bins")).to_be_disabled()
    page.go_back()
    expect(results_title(page)).to_contain_text("20 items")
    expect(page.get_by_label("given label")).to_have_value("0")
    expect(page.get_by_label("bin", exact=True)).to_have_value("")
    page.go_back()
    expect(results_title(page)).to_contain_text("60 items")
    expect(page.get_by_label("given label")).to_have_value("")


def test_pages_turn_and_a_bar_of_the_chart_sets_k(make_page):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/queue/")
    expect(page.locator(".flag")).to_have_count(48)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".flag")).to_have_count(12)
    canvas = page.locator('[data-chart="depth"] .chart-canvas')
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.12, "y": box["height"] * 0.6})
    expect(page.get_by_label("top-k bins")).to_have_value("1")
    expect(results_title(page)).to_contain_text("12 items")


def test_a_picture_opens_large_and_the_arrow_keys_lead_on(make_page):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/queue/")
    first = page.locator(".flag").first
    first.click()
    dialog = page.locator("#item-dialog")
    expect(dialog.locator("h2")).to_have_text("00000.png")
    expect(dialog.locator(".word")).to_have_count(2)
    assert serious_violations(page) == []
    page.keyboard.press("ArrowRight")
    expect(dialog.locator("h2")).to_have_text("00001.png")
    page.keyboard.press("ArrowRight")
    expect(dialog.locator("h2")).to_have_text("00002.png")
    page.keyboard.press("ArrowLeft")
    expect(dialog.locator("h2")).to_have_text("00001.png")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".flag").nth(1)).to_be_focused()


@pytest.mark.parametrize(
    ("kind", "start"),
    [("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"moment,bin,items,confidence,accuracy\r\n")],
)
def test_a_chart_can_be_saved(make_page, kind, start):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/calibration/")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save “Half A” as {kind}").first.click()
    assert download.value.suggested_filename == f"stub-3-0-half-a.{kind.lower()}"
    assert download.value.path().read_bytes().startswith(start)


def test_charts_follow_the_theme(make_page):
    audit = make_pictured_audit()
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/calibration/")
    chart = page.locator('[data-chart="histogram"] .chart-canvas').first
    expect(chart.locator("svg")).to_be_visible()
    light = chart.inner_html()
    page.get_by_role("button", name="Switch between light and dark").click()
    assert chart.inner_html() != light
    page.get_by_role("button", name="Switch between light and dark").click()
    assert chart.inner_html() == light


def test_the_form_follows_the_data_set_and_an_audit_starts(make_page):
    project = make_project()
    dataset = make_dataset(project, n_items=12, n_classes=3)
    make_dataset(project)
    ScoreSet.objects.create(dataset=dataset, expert="stub:3-9", source="imported", state="ready")
    page = open_page(make_page, project, "/audits/new/")
    page.expected_errors.append("status of 422")  # a refused form is an answer
    expect(page.locator("#estimate")).to_contain_text("Choose a data set")
    page.get_by_label("Data set").select_option(label=dataset.slug)
    page.get_by_label("stub:3-9").check()
    page.get_by_label("Experts to run").fill("nonsense")
    expect(page.locator("#estimate")).to_contain_text("measured once the first chunks are done")
    assert serious_violations(page) == []
    page.get_by_role("button", name="Start the audit").click()
    expect(page.locator(".errorlist")).to_contain_text("backend:model")
    expect(page.get_by_label("stub:3-9")).to_be_checked()
    page.get_by_label("Experts to run").fill("stub:3-1")
    page.get_by_role("button", name="Start the audit").click()
    expect(page).to_have_url(re.compile(r"/audits/\d+/$"))
    expect(page.get_by_text("No worker is listening")).to_be_visible()


def test_the_progress_page_moves_on_its_own(make_page):
    dataset = make_dataset(n_items=12)
    audit = make_running_audit(dataset)
    now = timezone.now()
    Worker.objects.create(name="host:1", version="0.1.0", started_at=now, seen_at=now)
    page = open_page(make_page, dataset.project, f"/audits/{audit.pk}/")
    expect(page.get_by_text("0 of 12 items")).to_have_count(2)
    expect(page.get_by_text("No worker is listening")).to_have_count(0)
    Chunk.objects.filter(score_set__expert="run:0").update(work="done")
    expect(page.get_by_text("12 of 12 items")).to_have_count(1)
    Worker.objects.update(seen_at=now - timedelta(seconds=20))
    expect(page.get_by_text("No worker is listening")).to_be_visible()
    Audit.objects.filter(pk=audit.pk).update(state="failed", error="the disk is full")
    expect(page.get_by_role("alert")).to_contain_text("the disk is full")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_page_that_gets_no_answer_says_so_until_it_gets_one(make_page):
    audit = make_running_audit(make_dataset(n_items=12))
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/")
    page.expected_errors += ["503", "Failed to load resource", "htmx:"]
    polls = re.compile("/progress/")
    page.route(polls, lambda route: route.fulfill(status=503, body="away"))
    notice = page.locator(".stale")
    expect(notice).to_contain_text("The database is away for a moment. What stands here is from")
    page.unroute(polls)
    page.route(polls, lambda route: route.abort())
    expect(notice).to_contain_text("The site can't be reached")
    expect(notice).to_have_count(1)
    page.unroute(polls)
    expect(notice).to_have_count(0)
    expect(page.get_by_text("0 of 12 items")).to_have_count(2)


def test_a_page_whose_log_in_has_run_out_leads_to_the_log_in(make_page):
    audit = make_running_audit(make_dataset(n_items=12))
    page = open_page(make_page, audit.dataset.project, f"/audits/{audit.pk}/")
    Session.objects.all().delete()
    expect(page).to_have_url(re.compile(rf"/login/\?next=/audits/{audit.pk}/"))
    expect(page.get_by_label("Username")).to_be_visible()
