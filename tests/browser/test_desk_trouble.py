"""The review desk when things go wrong: offline, lost answers, ended log-ins, two windows."""

from __future__ import annotations

import time

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import expect

from reviews.models import Judgment, Referral
from tests.browser.conftest import log_in_through_the_page
from tests.browser.desk_steps import (
    EYES,
    annotator_of,
    make_audit,
    open_desk,
    open_slots,
    press,
    see_item,
    verdicts,
    wait_until,
    wait_until_saved,
)

pytestmark = pytest.mark.browser


def test_r02_a_double_key_press_or_a_held_key_is_one_judgment(make_page):
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


def test_r12_verdicts_given_offline_wait_and_are_sent_in_order_once(make_page):
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


def judge_two_that_can_not_be_sent(make_page, audit):
    page = make_page(annotator_of(audit))
    page.expected_errors.append("ERR_FAILED")
    page.on("dialog", lambda dialog: dialog.accept())
    open_desk(page, audit)
    page.route("**/judgments/", lambda route: route.abort())
    press(page, "qw")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 2 waiting")
    return page


def reload_and_find_both(page):
    page.reload()
    see_item(page)
    wait_until_saved(page)
    expect(page.locator(".past")).to_have_count(2)
    expect(page.locator("[data-part=progress-words]")).to_have_text("2 of 24")
    assert verdicts() == ["label_correct", "wrong_label"]


def test_unsent_verdicts_survive_a_reload(make_page):
    page = judge_two_that_can_not_be_sent(make_page, make_audit())
    page.unroute("**/judgments/")
    reload_and_find_both(page)


def test_what_the_page_before_sent_while_this_one_was_on_its_way_is_in_the_strip(make_page):
    audit = make_audit()
    page = judge_two_that_can_not_be_sent(make_page, audit)

    def let_the_old_page_send_before_the_new_one_arrives(route):
        written = route.fetch()
        page.unroute("**/judgments/")
        deadline = time.monotonic() + 10
        while Judgment.objects.count() < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)  # the answers reach the old page too
        route.fulfill(response=written)

    desk = reverse("reviews:desk", args=[audit.pk])
    page.route(f"**{desk}", let_the_old_page_send_before_the_new_one_arrives)
    reload_and_find_both(page)


def test_r13_an_answer_lost_on_the_way_back_makes_no_second_row(make_page):
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


def test_r11_an_ended_log_in_says_so_and_everything_is_sent_after_the_next(make_page):
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


def test_r07_two_windows_on_one_item_keep_the_first_verdict_and_show_it(make_page):
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


def test_r29_a_picture_that_does_not_load_takes_no_verdict_until_it_does(make_page):
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
    page.get_by_role("button", name="Flag it").click()
    wait_until(page, lambda: Referral.objects.filter(note__contains="be displayed").exists())
    page.unroute(f"**{address}")
    page.get_by_role("button", name="Try again").click()
    press(page, "u")
    wait_until_saved(page)
    assert verdicts() == ["unsure"]
