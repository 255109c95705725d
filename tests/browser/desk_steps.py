"""Steps that the desk's browser tests are made of."""

from __future__ import annotations

from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Audit
from reviews.models import DeskPreference, Judgment, SampledClass
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample

EYES = 215  # a person can't judge sooner; the desk takes a faster key for the item before


def make_audit(n_items: int = 24, votes_per_item: int = 1) -> Audit:
    audit = make_ready_audit(make_dataset(make_project(), n_items=n_items), n_flags=n_items)
    make_sample(audit, n_items, votes_per_item)
    return audit


def make_full_audit(n_items: int = 24, n_classes: int = 3) -> Audit:
    """All classes are candidates of every item; class i looks like class i + 2 (of three)."""
    dataset = make_dataset(make_project(), n_items=n_items + 5, n_classes=n_classes)
    audit = make_ready_audit(dataset, n_flags=n_items)
    sample = make_sample(audit, n_items)
    shown = range(min(n_classes, 6))
    for row in sample.items.select_related("item"):
        given = row.item.given_label
        row.candidates = [given, *(label for label in shown if label != given)]
        row.save()
    clean = list(dataset.items.order_by("-position").values_list("pk", flat=True)[:5])
    SampledClass.objects.bulk_create(
        SampledClass(
            sample=sample,
            index=index,
            exemplars=clean if index == 1 else [],
            near={(index + 2) % 3: "similar_class"} if index < 3 else {},
        )
        for index in range(n_classes)
    )
    return audit


def annotator_of(audit: Audit, mode: str = "quick"):
    user = make_member(audit.dataset.project)
    DeskPreference.objects.create(user=user, mode=mode)
    return user


def open_desk(page: Page, audit: Audit) -> None:
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    see_item(page)


def see_item(page: Page) -> None:
    expect(page.locator("#picture")).to_have_attribute("data-state", "shown")
    expect(page.locator("[data-verdict=unsure]")).to_be_enabled()
    page.wait_for_timeout(EYES)


def tick(page: Page, name: str) -> None:
    """Press the number of the row that shows a class."""
    names = page.locator(".tick .class-name").all_inner_texts()
    page.keyboard.press(str(names.index(name) + 1))


def press(page: Page, keys: str | list[str]) -> None:
    for key in keys:
        see_item(page)
        page.keyboard.press(key)


def wait_until_saved(page: Page) -> None:
    # On a busy machine five verdicts may take more than the usual five seconds.
    expect(page.locator(".past.is-waiting")).to_have_count(0, timeout=20_000)
    expect(page.locator("[data-part=status]")).to_have_attribute("data-state", "idle")


def wait_for_rows(page: Page, n_rows: int) -> None:
    """Wait until the desk has sent everything: it paints first and sends after."""
    wait_until(page, lambda: Judgment.objects.count() == n_rows)


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came to that")


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
    assert serious == [], serious
