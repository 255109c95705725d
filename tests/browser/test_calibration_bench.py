"""The calibration bench in a real browser: have calibrators fitted, filter classes by gap."""

import pytest
from playwright.sync_api import expect

from audit.models import Measurement, Role
from reviews.services.measuring import measure
from tests.audit.test_calibration_bench import make_classes_audit
from tests.factories import make_member
from tests.reviews.test_cascade_command import make_audit_of, make_scored_dataset

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_calibrators_appear_as_pictures_once_a_worker_has_fitted_them(make_page):
    audit = make_audit_of(make_scored_dataset(), "small", "large")
    audit.experts.update(calibration={"calibrator": "none"})
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/calibration/")
    page.get_by_role("button", name="Fit all calibrators").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    assert measure(Measurement.objects.get().pk)
    expect(page.locator("[data-chart=bench] svg")).to_have_count(8)
    expect(page.get_by_text("Drift between the halves:")).to_have_count(2)
    expect(page.locator("[data-chart=bench] svg").first).to_contain_text("confidence")


def test_classes_can_be_filtered_and_their_gaps_are_drawn(make_page):
    audit, *_ = make_classes_audit()
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/calibration/classes/")
    chart = page.locator("[data-chart=class-gaps] svg")
    expect(chart).to_contain_text("class 0")
    page.get_by_label("classes by", exact=True).select_option("given")
    page.get_by_label("show", exact=True).select_option("over")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".class-gaps tbody tr")).to_have_count(1)
    expect(chart).to_contain_text("class 2")
    expect(chart).not_to_contain_text("class 0")
