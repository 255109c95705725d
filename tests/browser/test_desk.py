"""The review desk in a real browser: keys, undo, offline, expired log-ins, accessibility."""

from __future__ import annotations

import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Audit, Item, Role
from reviews.models import Judgment
from tests.browser.conftest import PHONE, log_in_through_the_page
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample

pytestmark = pytest.mark.browser
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
    see_item(page)  # given 1, experts say 2
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("clas 0")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="class 0")).to_be_checked()
    page.keyboard.press("w")
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


def test_a_double_key_press_or_a_held_key_is_one_judgment(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    page.keyboard.press("q")
    page.keyboard.press("q")
    page.keyboard.down("w")
    for _ in range(5):
        page.keyboard.down("w")  # what a held key sends: repeats
    page.wait_for_timeout(2 * EYES)
    page.keyboard.up("w")
    wait_until_saved(page)
    assert verdicts() == ["label_correct"]
    page.get_by_role("button", name="Unsure", exact=True).dblclick()
    wait_until_saved(page)
    assert verdicts() == ["label_correct", "unsure"]


def test_verdicts_given_offline_wait_and_are_sent_in_order_once(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_INTERNET_DISCONNECTED")
    open_desk(page, audit)
    see_item(page)
    page.context.set_offline(True)
    press(page, "qwz")
    press(page, "uq")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 5 waiting")
    assert Judgment.objects.count() == 0
    page.context.set_offline(False)
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("verdict", flat=True)) == [
        "label_correct", "wrong_label", "withdrawn", "unsure", "label_correct",
    ]  # fmt: skip


def test_ten_items_judged_offline_are_not_taken_for_the_end(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_INTERNET_DISCONNECTED")
    open_desk(page, audit)
    page.wait_for_timeout(500)  # pictures ahead are here
    page.context.set_offline(True)
    press(page, "qqqqqq")
    page.wait_for_timeout(EYES)
    page.context.set_offline(False)
    press(page, "wwwwww")
    wait_until_saved(page)
    expect(page.get_by_role("heading", name="Nothing left for you")).to_be_hidden()
    assert verdicts() == ["label_correct"] * 6 + ["wrong_label"] * 6


def test_unsent_verdicts_survive_a_reload(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_FAILED")
    page.on("dialog", lambda dialog: dialog.accept())
    open_desk(page, audit)
    page.route("**/judgments/", lambda route: route.abort())
    press(page, "qw")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 2 waiting")
    page.unroute("**/judgments/")
    page.reload()
    see_item(page)
    wait_until_saved(page)
    expect(page.locator(".past")).to_have_count(2)
    expect(page.locator("[data-part=progress-words]")).to_have_text("2 of 24")
    assert verdicts() == ["label_correct", "wrong_label"]


def test_an_answer_lost_on_the_way_back_makes_no_second_row(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_FAILED")
    open_desk(page, audit)
    lost = []

    def lose_the_first_answer(route):
        route.fetch()
        lost.append(route.request.post_data)
        if len(lost) == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/judgments/", lose_the_first_answer)
    press(page, "q")
    wait_until_saved(page)
    assert lost[0] == lost[1]
    assert Judgment.objects.count() == 1


def test_an_ended_log_in_says_so_and_everything_is_sent_after_the_next(make_page):
    audit = make_audit()
    user = annotator_of(audit)
    page = make_page(user)
    open_desk(page, audit)
    see_item(page)
    Session.objects.all().delete()
    press(page, "qw")
    expect(page.get_by_role("alert").get_by_role("link", name="Log in")).to_be_visible()
    expect(page.locator("[data-part=status-words]")).to_have_text("logged out, 2 waiting")
    page.get_by_role("alert").get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()
    see_item(page)
    wait_until_saved(page)
    assert page.url.endswith(reverse("reviews:desk", args=[audit.pk]))
    assert verdicts() == ["label_correct", "wrong_label"]


def test_what_waits_is_never_sent_in_somebody_elses_name(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("403")
    open_desk(page, audit)
    see_item(page)
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Log out").click()
    log_in_through_the_page(other, annotator_of(audit))
    press(page, "q")
    expect(page.locator("[data-part=expired]")).to_contain_text("somebody else")
    assert Judgment.objects.count() == 0


def test_two_windows_on_one_item_keep_the_first_verdict_and_show_it(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.expected_errors.append("409")
    open_desk(page, audit)
    second = page.context.new_page()
    open_desk(second, audit)
    press(second, "w")
    wait_until_saved(second)
    press(page, "q")
    expect(page.locator(".refusal")).to_contain_text("you have judged this item already")
    expect(page.locator(".past")).to_have_attribute("title", "Wrong label → class 1")
    assert verdicts() == ["wrong_label"]


def test_leaving_hands_the_items_back_unless_another_window_is_open(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    open_desk(page, audit)
    second = page.context.new_page()
    open_desk(second, audit)
    assert open_slots(audit) == 10
    with second.expect_navigation():
        second.goto("/")
    assert open_slots(audit) == 10
    page.goto("/")
    deadline = time.monotonic() + 5
    while open_slots(audit) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert open_slots(audit) == 0


def test_a_picture_that_does_not_load_takes_no_verdict_until_it_does(make_page):
    audit = make_audit()
    first = audit.dataset.items.first()
    address = reverse("audit:item_image", args=[first.pk])
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_FAILED")
    page.route(f"**{address}", lambda route: route.abort())
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    expect(page.locator("#picture")).to_have_attribute("data-state", "failed")
    expect(page.get_by_role("button", name="Label correct", exact=True)).to_be_disabled()
    page.wait_for_timeout(EYES)
    page.keyboard.press("q")
    page.unroute(f"**{address}")
    page.get_by_role("button", name="Try again").click()
    press(page, "u")
    wait_until_saved(page)
    assert verdicts() == ["unsure"]


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


def see_height(page: Page, holds) -> None:
    """Wait for the next frames, in which the zoom takes effect, and test the picture's height."""
    page.wait_for_timeout(EYES)
    assert holds(page.locator(".picture-frame img").bounding_box()["height"])


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


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (720, "dark"), (1440, "light"), (1440, "dark")]
)
def test_no_page_scrolls_sideways_and_axe_finds_nothing_serious(make_page, width, scheme):
    audit = make_audit()
    empty = make_ready_audit(make_dataset(audit.dataset.project))
    user = make_member(audit.dataset.project, Role.MAINTAINER)
    page = make_page(user, viewport={"width": width, "height": 700}, color_scheme=scheme)
    # axe runs by a script of its own, which changes no policy of the page.
    open_desk(page, audit)
    press(page, "wq")
    page.keyboard.press("g")
    check(page)
    page.keyboard.press("g")
    page.keyboard.press("?")
    check(page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("option")).to_have_count(3)
    check(page)
    page.keyboard.press("Escape")
    page.goto(reverse("reviews:desk", args=[empty.pk]))
    check(page)
    page.get_by_role("button", name="Log out").click()
    check(page)


def check(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]
    assert serious == []


def test_the_theme_button_keeps_the_choice_on_every_page(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit), color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") is None
