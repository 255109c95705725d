"""Steps that the desk's browser tests are made of."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Audit
from reviews.models import Judgment
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample

EYES = 215  # a person can't judge sooner; the desk takes a faster key for the item before


def make_audit(n_items: int = 24, votes_per_item: int = 1) -> Audit:
    audit = make_ready_audit(make_dataset(make_project(), n_items=n_items), n_flags=n_items)
    make_sample(audit, n_items, votes_per_item)
    return audit


def annotator_of(audit: Audit):
    return make_member(audit.dataset.project)


def open_desk(page: Page, audit: Audit) -> None:
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    see_item(page)


def see_item(page: Page) -> None:
    expect(page.locator("#picture")).to_have_attribute("data-state", "shown")
    expect(page.get_by_role("button", name="Wrong label", exact=True)).to_be_enabled()
    page.wait_for_timeout(EYES)


def press(page: Page, keys: str) -> None:
    for key in keys:
        see_item(page)
        page.keyboard.press(key)


def wait_until_saved(page: Page) -> None:
    expect(page.locator(".past.is-waiting")).to_have_count(0)
    expect(page.locator("[data-part=status]")).to_have_attribute("data-state", "idle")


def verdicts() -> list[str]:
    return list(Judgment.objects.standing().values_list("verdict", flat=True))


def open_slots(audit: Audit, state: str = "leased") -> int:
    return audit.sample.slots.filter(state=state).count()


def check(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]
    assert serious == []
