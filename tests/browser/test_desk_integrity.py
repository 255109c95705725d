"""No work lost and none doubled, where only a browser tells (R06, R09-R12, R24, R29, R30)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from audit.models import Audit
from reviews.models import Judgment, ReviewSlot
from reviews.services.judgments import Answer, Verdict, record_judgment
from reviews.services.leases import claim_slots
from tests.browser.desk_steps import (
    EYES,
    annotator_of,
    make_audit,
    make_full_audit,
    open_desk,
    press,
    see_item,
    tick,
    verdicts,
    wait_for_rows,
    wait_until,
    wait_until_saved,
)
from tests.factories import PASSWORD, make_member

pytestmark = pytest.mark.browser


def let_leases_run_out(audit: Audit) -> None:
    audit.sample.slots.filter(state="leased").update(leased_until=Now() - timedelta(minutes=30))


def look_at_the_tab_again(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def hold(held: list[Route]) -> Callable[[Route], None]:
    """Return a handler that keeps requests from going on."""

    def keep(route: Route) -> None:
        held.append(route)

    return keep


def test_r06_back_shows_what_is_saved_and_offers_to_change_it(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    tick(page, "class 0")
    press(page, ["Enter"])
    wait_until_saved(page)
    page.goto("/")
    page.go_back()
    see_item(page)
    expect(page.locator(".past")).to_have_count(1)
    page.reload()
    see_item(page)
    page.keyboard.press("ArrowLeft")
    see_item(page)
    expect(page.locator("[data-part=past]")).to_contain_text("You said Label correct")
    expect(page.get_by_role("checkbox", name="class 0")).to_be_checked()
    tick(page, "class 1")
    press(page, ["Enter"])
    wait_for_rows(page, 2)
    assert verdicts() == ["multi_object"]


def test_r09_a_verdict_on_an_item_that_somebody_else_took_is_shown_with_its_note(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"))
    page.expected_errors.append("409")
    open_desk(page, audit)
    page.keyboard.press("c")
    page.keyboard.type("took me an hour to find out")
    page.keyboard.press("Enter")
    let_leases_run_out(audit)
    claim_slots(audit.sample, make_member(audit.dataset.project), 40)
    tick(page, "class 1")
    press(page, ["Enter"])
    refusal = page.locator(".refusal")
    expect(refusal).to_contain_text("Wrong label → class 1 (took me an hour to find out)")
    expect(refusal).to_contain_text("this item is no longer yours")
    refusal.get_by_role("button", name="All right").click()
    expect(refusal).to_have_count(0)
    assert not Judgment.objects.exists()


def test_r08_a_late_verdict_counts_while_nobody_took_the_item(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    let_leases_run_out(audit)
    tick(page, "class 0")
    press(page, ["Enter"])
    wait_until_saved(page)
    assert verdicts() == ["label_correct"]


def test_r10_a_tab_that_slept_gives_up_what_others_took_and_goes_on(make_page):
    audit = make_full_audit(n_items=14)
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    let_leases_run_out(audit)
    other = make_member(audit.dataset.project)
    taken = claim_slots(audit.sample, other, 6)  # four were free, two it took over
    page.expected_errors.append("409")
    look_at_the_tab_again(page)
    held = audit.sample.slots.filter(state="leased").exclude(annotator=other)
    wait_until(page, lambda: held.count() == 14 - 6)
    for slot in taken:
        record_judgment(other, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
    for _ in range(9):
        press(page, ["0", "Enter"])
    expect(page.get_by_role("heading", name="Nothing left for you")).to_be_visible()
    wait_for_rows(page, 14)
    # The item in front of the person was not taken away from them, but it had gone.
    expect(page.locator(".refusal")).to_have_count(1)
    assert Judgment.objects.filter(annotator=other).count() == 6


def test_r11_what_was_ticked_and_noted_outlives_an_ended_log_in(make_page):
    audit = make_full_audit()
    user = annotator_of(audit, "full")
    page = make_page(user)
    open_desk(page, audit)
    tick(page, "class 0")
    press(page, ["Enter"])
    wait_until_saved(page)
    see_item(page)
    tick(page, "class 2")
    page.keyboard.press("c")
    page.keyboard.type("still thinking")
    page.keyboard.press("Enter")
    Session.objects.all().delete()
    look_at_the_tab_again(page)  # the heartbeat finds out
    page.get_by_role("alert").get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    see_item(page)
    expect(page.get_by_role("checkbox", name="class 2")).to_be_checked()
    expect(page.locator("[data-part=note-mark]")).to_have_text("still thinking")
    press(page, ["Enter"])
    wait_for_rows(page, 2)
    assert Judgment.objects.last().note == "still thinking"


def test_r12_ten_verdicts_given_offline_outlive_reload_and_log_out_and_are_stored_in_order(
    make_page,
):
    audit = make_audit()
    user = annotator_of(audit)
    page = make_page(user)
    page.expected_errors.append("ERR_INTERNET_DISCONNECTED")
    page.on("dialog", lambda dialog: dialog.accept())
    open_desk(page, audit)
    page.wait_for_timeout(500)  # pictures ahead are here
    page.context.set_offline(True)
    press(page, "qwqwqw")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 6 waiting")
    asked = page.evaluate(
        "() => { const event = new Event('beforeunload', { cancelable: true });"
        "return !window.dispatchEvent(event); }"
    )
    assert asked  # closing the tab asks first
    page.context.set_offline(False)
    page.route("**/judgments/", lambda route: route.abort())
    page.expected_errors.append("ERR_FAILED")
    press(page, "uuuu")
    Session.objects.all().delete()
    page.unroute("**/judgments/")
    page.reload()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    wait_for_rows(page, 10)
    see_item(page)
    rows = Judgment.objects.order_by("pk")
    assert [row.verdict for row in rows] == ["label_correct", "wrong_label"] * 3 + ["unsure"] * 4
    assert list(rows.values_list("slot__order", flat=True)) == list(range(10))


def test_on_a_slow_network_judging_goes_on_and_the_bar_counts_what_waits(make_page):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    held: list[Route] = []
    open_desk(page, audit)
    page.wait_for_timeout(500)
    page.route("**/judgments/", hold(held))
    press(page, "qwu")
    expect(page.locator("[data-part=status-words]")).to_have_text("3 waiting")
    see_item(page)
    while held:
        held.pop(0).continue_()
        page.wait_for_timeout(200)
    wait_for_rows(page, 3)
    wait_until_saved(page)
    assert verdicts() == ["label_correct", "wrong_label", "unsure"]


def test_r24_the_last_item_goes_to_one_and_the_other_is_told_without_a_loop(make_page):
    audit = make_audit(n_items=1)
    first, second = make_page(annotator_of(audit)), make_page(annotator_of(audit))
    open_desk(first, audit)
    asked = []
    second.on("request", lambda request: asked.append(request.url))
    second.goto(reverse("reviews:desk", args=[audit.pk]))
    expect(second.get_by_role("heading", name="Nothing left for you")).to_be_visible()
    expect(second.locator("[data-part=done-words]")).to_contain_text(
        "Others are looking at the last 1"
    )
    second.wait_for_timeout(1500)
    assert sum(url.endswith("/lease/") for url in asked) <= 2
    press(first, "q")
    expect(first.get_by_role("heading", name="Nothing left for you")).to_be_visible()
    wait_until_saved(first)
    second.get_by_role("button", name="Look for more").click()
    expect(second.locator("[data-part=done-words]")).to_contain_text("has its verdict")
    assert verdicts() == ["label_correct"]


def test_r29_a_slow_picture_takes_no_verdict_and_can_be_left_and_flagged(make_page):
    audit = make_full_audit()
    address = reverse("audit:item_image", args=[audit.dataset.items.first().pk])
    page = make_page(annotator_of(audit, "full"))
    held: list[Route] = []
    page.route(f"**{address}", hold(held))
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    expect(page.locator("#picture")).to_have_attribute("data-state", "loading")
    page.wait_for_timeout(EYES)
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()
    page.keyboard.press("f")  # somebody shall look at it
    page.keyboard.press("ArrowRight")
    see_item(page)
    press(page, ["0", "Enter"])
    wait_for_rows(page, 1)
    assert Judgment.objects.get().slot.order == 1
    assert audit.sample.items.filter(referrals__is_open=True).get().order == 0
    for route in held:
        route.continue_()


@pytest.mark.parametrize("hours", [-24, 24])
def test_r30_a_clock_that_is_a_day_wrong_changes_nothing(make_page, hours):
    audit = make_audit()
    page = make_page(annotator_of(audit))
    page.add_init_script(
        f"const now = Date.now.bind(Date); Date.now = () => now() + {hours} * 3600 * 1000;"
    )
    open_desk(page, audit)
    before = timezone.now()
    press(page, "qw")
    wait_for_rows(page, 2)
    page.reload()
    see_item(page)
    expect(page.locator(".past")).to_have_count(2)
    for row in Judgment.objects.all():
        assert abs(row.decided_at - before) < timedelta(minutes=5)
        assert row.milliseconds < 60_000
    held = ReviewSlot.objects.filter(state="leased")
    assert all(abs(slot.leased_until - before) < timedelta(minutes=15) for slot in held)


def test_fifty_verdicts_of_earlier_visits_are_undone_one_after_the_other(make_page):
    audit = make_audit(n_items=60)
    user = annotator_of(audit)
    for _ in range(6):
        for slot in claim_slots(audit.sample, user, 10):
            record_judgment(user, slot.pk, slot.epoch, uuid4(), Answer(Verdict.UNSURE))
    page = make_page(user)
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    expect(page.locator(".past")).to_have_count(10)
    for _ in range(50):
        page.keyboard.press("z")
    wait_until(page, lambda: Judgment.objects.count() == 110)
    assert Judgment.objects.standing().count() == 10
    expect(page.locator("[data-part=progress-words]")).to_have_text("10 of 60")
    assert audit.sample.slots.filter(state="leased", annotator=user).count() == 50
