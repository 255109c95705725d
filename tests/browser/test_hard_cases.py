"""What is hard to show stays whole, told apart and within reach, on wide screens and phones.

With `PICTURES=FOLDER` in front of pytest a picture of each case is kept there.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from reviews.models import Judgment
from tests.browser.conftest import PHONE, WIDE, take
from tests.browser.desk_steps import annotator_of, check, open_desk, see_item, wait_until_saved
from tests.browser.hard_cases import make_hard_pictures, make_hard_questions
from tests.browser.question_steps import open_question_desk, see_question

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCREENS = pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")],
    ids=["1440-light", "1440-dark", "390-light", "390-dark"],
)
MODES = pytest.mark.parametrize("mode", ["full", "quick"])


def is_whole(page: Page) -> bool:
    """Whether the picture fits its pane and keeps its shape."""
    return page.evaluate(
        """() => {
          const image = document.querySelector(".picture-frame img");
          const rect = (one) => one.getBoundingClientRect();
          const [inner, outer] = [rect(image), rect(image.closest(".picture"))];
          const isWithin = inner.left >= outer.left && inner.right <= outer.right
            && inner.top >= outer.top && inner.bottom <= outer.bottom;
          return isWithin && inner.height > 60 && getComputedStyle(image).objectFit === "contain";
        }"""
    )


@SCREENS
@MODES
def test_hard_pictures_are_whole_and_every_verdict_is_in_reach(make_page, viewport, scheme, mode):
    audit = make_hard_pictures()
    page = make_page(annotator_of(audit, mode), viewport=viewport, color_scheme=scheme)
    open_desk(page, audit)
    for case in ("twins", "panorama", "digit", "tower"):
        see_item(page)
        assert is_whole(page), case
        expect(page.locator("[data-verdict=unsure]")).to_be_in_viewport(ratio=1)
        for row in page.locator(".candidate:visible").all():
            assert row.evaluate("one => one.getBoundingClientRect().right <= innerWidth"), case
        check(page)
        page.keyboard.press("1")  # one of six
        take(page, f"picture-{case}-{mode}-{viewport['width']}-{scheme}")
        page.keyboard.press("u")
        page.keyboard.press("Enter")
        wait_until_saved(page)
    assert Judgment.objects.count() == 4
    assert page.title() != "1"


def test_the_quick_desk_says_which_of_two_classes_of_one_name_goes_with_an_error(make_page):
    page = make_page(annotator_of(audit := make_hard_pictures(), "quick"))
    open_desk(page, audit)
    expect(page.locator("[data-part=consequence]")).to_have_text("right class: maillot n03710721")


def test_two_classes_of_one_name_are_told_apart_by_id_gloss_and_a_badge(make_page):
    audit = make_hard_pictures()
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    twins = page.locator(".tick", has=page.locator(".class-name", has_text="maillot"))
    expect(twins).to_have_count(2)
    for number, wordnet_id in enumerate(sorted(twins.locator("code").all_inner_texts())):
        assert wordnet_id == ("n03710637", "n03710721")[number]
    expect(twins.locator(".pill", has_text="name used twice")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("maillot")
    expect(page.locator("dialog[open]").get_by_text("n03710721")).to_be_visible()
    take(page, "twins-search")


@SCREENS
@MODES
def test_hard_questions_keep_options_and_verdicts_in_reach(make_page, viewport, scheme, mode):
    audit = make_hard_questions()
    page = make_page(annotator_of(audit, mode), viewport=viewport, color_scheme=scheme)
    open_question_desk(page, audit)
    for case in ("passage", "hostile", "right-to-left"):
        see_question(page)
        expect(page.locator("[data-verdict=unsure]")).to_be_in_viewport()
        check(page)
        page.keyboard.press("2")  # one of six
        take(page, f"question-{case}-{mode}-{viewport['width']}-{scheme}")
        page.keyboard.press("u")
        page.keyboard.press("Enter")
        wait_until_saved(page)
    assert Judgment.objects.count() == 3
