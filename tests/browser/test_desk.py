"""The review desk in a real browser: keys, undo, search, phone, accessibility."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Item
from reviews.models import Judgment
from tests.browser.conftest import PHONE
from tests.browser.desk_steps import (
    EYES,
    annotator_of,
    make_audit,
    open_desk,
    press,
    see_item,
    verdicts,
    wait_until_saved,
)

pytestmark = pytest.mark.browser


def test_ten_items_are_judged_by_keyboard_alone(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    press(page, "qwmsbpuqwq")
    wait_until_saved(page)
    assert verdicts() == [
        "label_correct", "wrong_label", "multi_object", "similar_class", "sub_class",
        "super_class", "unsure", "label_correct", "wrong_label", "label_correct",
    ]  # fmt: skip
    # The class on which both experts agree goes with each error, and with nothing else.
    labels = list(Judgment.objects.values_list("corrected_label", flat=True))
    assert labels == [None, 2, 0, 1, 2, 0, None, None, 0, None]
    expect(page.locator(".past")).to_have_count(10)
    expect(page.locator("[data-part=progress-words]")).to_have_text("10 of 24")
    assert list(Judgment.objects.values_list("slot__order", flat=True)) == list(range(10))


def test_the_right_class_is_chosen_by_number_by_search_or_not_at_all(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)  # given 0, experts say 1
    press(page, "0w")
    expect(page.locator(".past")).to_have_count(1)
    see_item(page)  # given 1, experts say 2
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("clas 0")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="class 0")).to_be_checked()
    press(page, "w")
    expect(page.locator(".past")).to_have_count(2)
    see_item(page)
    page.keyboard.press("/")
    page.keyboard.type("q0")  # a letter typed into the search is no verdict
    page.keyboard.press("Escape")
    press(page, "0")
    press(page, "1w")
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("corrected_label", flat=True)) == [None, 0, 0]


def test_undo_brings_the_item_back_and_adds_a_row(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    press(page, "qw")
    page.keyboard.press("z")
    see_item(page)
    expect(page.locator("[data-part=progress-words]")).to_have_text("1 of 24")
    expect(page.locator(".past")).to_have_count(1)
    press(page, "u")
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("verdict", flat=True)) == [
        "label_correct", "wrong_label", "withdrawn", "unsure",
    ]  # fmt: skip
    assert verdicts() == ["label_correct", "unsure"]


def test_verdicts_of_an_earlier_visit_can_be_undone_one_after_the_other(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    press(page, "qqq")
    wait_until_saved(page)
    open_desk(page, audit)
    for _ in range(3):
        page.keyboard.press("z")
    wait_until_saved(page)
    expect(page.locator(".past")).to_have_count(0)
    press(page, "www")
    wait_until_saved(page)
    assert verdicts() == ["wrong_label"] * 3
    assert sorted(Judgment.objects.standing().values_list("slot__order", flat=True)) == [0, 1, 2]


def test_looking_again_changes_the_verdict_and_returns_to_the_open_item(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    press(page, "qq")
    see_item(page)
    page.keyboard.press("ArrowLeft")
    see_item(page)
    page.keyboard.press("ArrowLeft")
    see_item(page)
    expect(page.locator("[data-part=past]")).to_contain_text("You said Label correct")
    press(page, "s")
    expect(page.locator("[data-part=past]")).to_be_hidden()
    wait_until_saved(page)
    standing = Judgment.objects.standing().order_by("slot__order")
    assert list(standing.values_list("verdict", flat=True)) == ["similar_class", "label_correct"]


def test_an_item_put_off_comes_back_without_a_record(make_page):
    audit = make_audit(n_items=6)
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    see_item(page)
    page.keyboard.press("ArrowRight")
    press(page, "qqqqqw")
    expect(page.get_by_role("heading", name="Nothing left for you")).to_be_visible()
    wait_until_saved(page)
    last = Judgment.objects.order_by("pk").last()
    assert (last.verdict, last.slot.order) == ("wrong_label", 0)


def test_a_note_goes_with_the_verdict_and_letters_in_it_are_no_keys(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    page.keyboard.press("c")
    page.keyboard.type("quite unsure <b>")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=note-mark]")).to_have_text("quite unsure <b>")
    press(page, "uq")
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("verdict", "note")) == [
        ("unsure", "quite unsure <b>"),
        ("label_correct", ""),
    ]


def test_the_next_five_pictures_are_there_before_they_are_asked_for(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    open_desk(page, audit)
    page.wait_for_timeout(500)
    items = list(Item.objects.filter(dataset=audit.dataset)[:6])
    for item in items:
        assert any(url.endswith(reverse("audit:item_image", args=[item.pk])) for url in fetched)


def test_a_picture_zooms_by_key_and_a_small_one_keeps_its_pixels_sharp(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    image = page.locator(".picture-frame img")
    expect(image).to_have_css("image-rendering", "pixelated")
    fitted = image.bounding_box()["height"]
    assert fitted > 400
    page.keyboard.press("+")
    see_height(page, lambda height: height > fitted)
    page.keyboard.press("i")
    see_height(page, lambda height: height < 60)
    page.keyboard.press("i")
    see_height(page, lambda height: height == pytest.approx(fitted, abs=1))


def test_on_a_phone_everything_is_on_one_screen_and_one_tap_judges(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit), viewport=PHONE, has_touch=True, is_mobile=True)
    open_desk(page, audit)
    for name in ["Label correct", "Wrong label", "Unsure", "undo", "later"]:
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844
        assert box["height"] >= 40
    page.get_by_role("button", name="Wrong label", exact=True).tap()
    see_item(page)
    page.get_by_role("button", name="Label correct", exact=True).tap()
    wait_until_saved(page)
    assert verdicts() == ["wrong_label", "label_correct"]


def test_the_theme_button_keeps_the_choice_on_every_page(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit), color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") is None


def see_height(page: Page, holds) -> None:
    """Wait for the next frames, in which the zoom takes effect, and test the picture's height."""
    page.wait_for_timeout(EYES)
    assert holds(page.locator(".picture-frame img").bounding_box()["height"])
