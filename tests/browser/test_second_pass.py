"""The second pass in a real browser: order it, wait for it, read picture and table."""

import pytest
from playwright.sync_api import expect

from audit.models import Measurement, Role
from reviews.services.measuring import measure
from tests.factories import make_member
from tests.reviews.test_second_pass import make_excluding_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_experts_on_cleaned_labels_appear_once_a_worker_has_measured_them(make_page):
    audit, _ = make_excluding_audit()
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/cascade/")
    page.get_by_role("link", name="Every expert on cleaned labels").click()
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    assert measure(Measurement.objects.get().pk)
    chart = page.locator("[data-chart=second-pass]")
    expect(chart.locator("svg")).to_contain_text("accuracy")
    expect(page.get_by_text("5 left out of both")).to_be_visible()
    with page.expect_download() as download:
        chart.get_by_role("button", name="as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "expert,labels,accuracy,low,high"
    assert len(lines) == 1 + 2 * 4
