"""Training at the desk: said before the verdict, told after it, and over when it is over."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from audit.models import Role
from reviews.models import KnownItem, QualityPlan, Training
from reviews.services.known_items import Known, mark_by_hand
from tests.browser.desk_steps import annotator_of, check, make_audit, open_desk, press, wait_until
from tests.factories import make_member

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_answer_and_why_are_told_after_each_training_verdict(make_page):
    audit = make_audit(n_items=6)
    admin = make_member(audit.dataset.project, Role.ADMIN)
    audit.sample.slots.filter(sampled_item__order__gte=3).delete()
    audit.sample.items.filter(order__gte=3).delete()  # three items are left beside the sample
    QualityPlan.objects.create(audit=audit, n_training=2, gold_share=0)
    for place, item in enumerate(audit.dataset.items.order_by("-position")[:2]):
        known = Known(item.pk, "label_correct" if place else "wrong_label", why="<b>so</b> it is")
        mark_by_hand(audit, item, KnownItem.Use.TRAINING, known, admin)
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    expect(page.locator("[data-part=training]")).to_be_visible()
    for title in ("Not what was expected", "Right"):
        press(page, "q")
        dialog = page.locator("#training-dialog")
        expect(dialog.locator("h2")).to_have_text(title)
        expect(dialog.locator("[data-part=training-why]")).to_have_text("<b>so</b> it is")
        check(page)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
    expect(page.locator("[data-part=training]")).to_be_hidden()
    wait_until(page, Training.objects.exists)
    assert (Training.objects.get().n_right, Training.objects.get().n_items) == (1, 2)
