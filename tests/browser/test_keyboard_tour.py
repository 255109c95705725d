"""A whole sitting by keyboard alone, from the log-in to the last item, with no mouse at all.

With `PICTURES=FOLDER` in front of pytest every step is kept there as a picture.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from reviews.models import Judgment, Referral
from tests.browser.conftest import WIDE, take
from tests.browser.desk_steps import annotator_of, make_full_audit, see_item, tick, wait_until_saved
from tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCREENS = {
    "wide": {"viewport": WIDE},
    "at-200-percent": {"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2},
    "360-dark-still": {
        "viewport": {"width": 360, "height": 780},
        "color_scheme": "dark",
        "reduced_motion": "reduce",
    },
}
SLOW = {"offline": False, "latency": 560, "downloadThroughput": 180_000, "uploadThroughput": 84_000}
FOCUS = """() => {
  const one = document.activeElement, ring = one.closest(".candidate") ?? one;
  const box = one.getBoundingClientRect(), style = getComputedStyle(ring);
  return one !== document.body && one.matches(":focus-visible") && style.outlineStyle !== "none"
    && parseFloat(style.outlineWidth) > 0 && box.bottom > 0 && box.top < innerHeight;
}"""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until what is wanted has the focus; every stop on the way has a visible ring."""
    wanted = page.locator(selector).first
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"no Tab leads to {selector}")


class Tour:
    """One page on the way through a sitting; every step has a number and a name."""

    def __init__(self, page: Page, screen: str) -> None:
        self.page, self.screen, self.n_steps = page, screen, 0

    def show(self, name: str) -> None:
        self.n_steps += 1
        take(self.page, f"tour-{self.screen}-{self.n_steps:02d}-{name}")

    def press(self, *keys: str) -> None:
        see_item(self.page)
        expect(self.page.locator("[data-verdict=unsure]")).to_be_in_viewport()
        for key in keys:
            self.page.keyboard.press(key)

    def tick(self, name: str) -> None:
        see_item(self.page)
        tick(self.page, name)

    def submit(self, name: str, *keys: str) -> None:
        self.press(*keys)
        self.show(name)
        self.page.keyboard.press("Enter")

    def log_in(self, user: User, desk: str) -> None:
        if not self.page.locator("[name=username]").evaluate("one => one.matches(':focus')"):
            tab_to(self.page, "[name=username]")
        self.page.keyboard.type(user.username)
        tab_to(self.page, "[name=password]")
        self.page.keyboard.type(PASSWORD)
        self.show("log-in")
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/login/" not in url)
        tab_to(self.page, f"a[href='{desk}']")
        self.show("home")
        self.page.keyboard.press("Enter")
        self.page.locator("#picture[data-state=shown]").wait_for(timeout=30_000)

    def judge_eight(self) -> None:
        self.tick("class 0")
        self.submit("one-class")
        self.tick("class 2")
        self.submit("another-class")
        self.press("/")
        self.page.keyboard.type("class 1")
        self.show("search")
        self.page.keyboard.press("Enter")
        self.submit("found-by-search")
        self.tick("class 1")
        self.submit("override", "w")
        self.tick("class 2")
        self.submit("severity", "v", "v")
        self.press("z")
        self.submit("undone")
        self.submit("none", "0")
        self.submit("unsure", "u")
        self.press("f", "c")
        self.page.keyboard.type("which of the two?")
        self.show("note")
        self.page.keyboard.press("Enter")
        expect(self.page.locator("dialog[open]")).to_have_count(0)
        self.submit("flagged", "u")

    def look_about(self) -> None:
        wait_until_saved(self.page)
        self.page.keyboard.press("ArrowLeft")
        self.show("look-back")
        self.page.keyboard.press("r")
        expect(self.page.locator("[data-part=told]")).to_be_visible()
        self.show("revealed")
        self.page.keyboard.press("ArrowRight")
        self.press("g")
        expect(self.page.locator("#guide")).to_be_visible()
        self.show("guide")
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("?")
        expect(self.page.locator("dialog[open]")).to_have_count(1)
        self.show("keys")
        self.page.keyboard.press("Escape")

    def judge_two_by_tabbing(self) -> None:
        see_item(self.page)
        tab_to(self.page, ".tick input")
        self.page.keyboard.press("Space")
        self.show("ticked-by-tab")
        tab_to(self.page, "[data-act=submit]")
        self.show("next-by-tab")
        self.page.keyboard.press("Enter")
        self.submit("last", "0")


@pytest.mark.parametrize("screen", [*SCREENS, "slow-network"])
def test_ten_items_from_the_log_in_to_the_end_without_a_mouse(make_page, screen):
    audit = make_full_audit(10)
    user = annotator_of(audit, "full")
    page = make_page(user, log_in=False, **SCREENS.get(screen, SCREENS["wide"]))
    page.goto("/login/")
    if screen == "slow-network":
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    tour = Tour(page, screen)
    tour.log_in(user, reverse("reviews:desk", args=[audit.pk]))
    tour.judge_eight()
    tour.look_about()
    tour.judge_two_by_tabbing()
    end = page.get_by_role("heading", name="Nothing left for you")
    expect(end).to_be_visible(timeout=20_000)
    tour.show("done")
    wait_until_saved(page)
    assert Judgment.objects.standing().count() == 10
    assert Judgment.objects.filter(severity=2).exists()
    assert Judgment.objects.filter(note="which of the two?").exists()
    assert Referral.objects.exists()
