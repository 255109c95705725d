"""The desk for questions when things go wrong, and with gold, training and the revealed arm."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from audit.models import Audit, Role
from reviews.models import Judgment, QualityPlan, ReviewSlot, Sample, Training
from reviews.services.known_items import Known, mark_by_hand
from tests.browser.desk_steps import (
    EYES,
    annotator_of,
    check,
    verdicts,
    wait_for_rows,
    wait_until,
    wait_until_saved,
)
from tests.browser.question_steps import (
    answer,
    make_question_audit,
    open_question_desk,
    see_question,
)
from tests.factories import PASSWORD, make_member, make_questions, make_ready_audit, make_sample

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUESTION = "[data-part=question]"
STANDING = "[data-verdict][aria-pressed=true]"


def start(make_page, audit: Audit, mode: str = "full", **options) -> Page:
    page = make_page(annotator_of(audit, mode), **options)
    open_question_desk(page, audit)
    return page


def make_audit_with_known(use: str, n_known: int, **plan) -> Audit:
    """Three sums to judge, and others whose answer is known: option A, where the key is not."""
    audit = make_ready_audit(make_questions(n_items=12), n_flags=12)
    make_sample(audit, 3)
    admin = make_member(audit.dataset.project, Role.ADMIN)
    QualityPlan.objects.create(audit=audit, **plan)
    for item in audit.dataset.items.filter(position__gte=9)[:n_known]:
        known = Known(item.pk, "wrong_ground_truth", 0, why="<b>add</b> them up: $7 + 9$")
        mark_by_hand(audit, item, use, known, admin)
    return audit


# ----- races and troubles


def test_r02_a_held_key_neither_answers_twice_nor_passes_the_key_by(make_page):
    page = start(make_page, make_question_audit())
    page.keyboard.down("2")
    page.keyboard.down("2")  # a repeat, which would take the tick off again
    page.keyboard.up("2")
    expect(page.locator(".option").nth(1).locator("input")).to_be_checked()
    page.keyboard.down("Enter")
    for _ in range(5):
        page.keyboard.down("Enter")  # what a held key sends: repeats
    page.keyboard.up("Enter")
    expect(page.locator(STANDING)).to_contain_text("Wrong key")
    expect(page.locator(QUESTION)).to_have_text("What is 0 + 7?")  # it asks for a source first
    page.keyboard.press("d")
    page.keyboard.down("Enter")
    for _ in range(5):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    wait_until_saved(page)
    expect(page.locator(QUESTION)).to_have_text("What is 1 + 7?")
    assert verdicts() == ["wrong_ground_truth"]


def test_r07_two_windows_on_one_question_keep_the_first_answer_and_show_it(make_page):
    audit = make_question_audit()
    page = start(make_page, audit)
    page.expected_errors.append("409")
    second = page.context.new_page()
    open_question_desk(second, audit)
    answer(second, "3", "Enter", "d", "Enter")
    wait_until_saved(second)
    answer(page, "1", "Enter")
    expect(page.locator(".refusal")).to_contain_text("you have judged this item already")
    expect(page.locator(".past")).to_have_attribute("title", "Wrong key: A → C")
    assert verdicts() == ["wrong_ground_truth"]


def test_r11_answer_key_and_source_outlive_an_ended_log_in(make_page):
    audit = make_question_audit()
    user = annotator_of(audit, "full")
    page = make_page(user)
    open_question_desk(page, audit)
    Session.objects.all().delete()
    answer(page, "1", "Enter")
    expect(page.locator("[data-part=expired]")).to_be_visible()
    answer(page, "3", "Enter", "s")
    page.keyboard.type("a book, page 7")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    see_question(page)
    expect(page.locator(STANDING)).to_contain_text("Wrong key")
    expect(page.locator("[data-part=source-words]")).to_have_text("a book, page 7")
    page.keyboard.press("Enter")
    wait_for_rows(page, 2)
    assert verdicts() == ["label_correct", "wrong_ground_truth"]
    assert Judgment.objects.last().blind_labels == [2]


def test_r13_while_the_server_restarts_answers_wait_and_a_lost_one_is_stored_once(make_page):
    page = start(make_page, make_question_audit())
    page.expected_errors += ["ERR_CONNECTION_REFUSED", "502"]
    sent = []

    def restart(route):
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fetch()  # it was stored, and its answer went down with the server
            route.abort("connectionrefused")
        elif len(sent) == 2:
            route.fulfill(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")
        else:
            route.continue_()

    page.route("**/judgments/", restart)
    answer(page, "1", "Enter")
    answer(page, "2", "Enter", "d", "Enter")
    wait_for_rows(page, 2)
    wait_until_saved(page)
    assert sent[0] == sent[1] == sent[2]
    assert verdicts() == ["label_correct", "label_correct"]


def test_answers_that_wait_are_sent_after_a_reload_and_the_open_one_is_kept(make_page):
    page = start(make_page, make_question_audit())
    page.expected_errors.append("ERR_FAILED")
    page.on("dialog", lambda dialog: dialog.accept())
    page.route("**/judgments/", lambda route: route.abort())
    answer(page, "1", "Enter")
    answer(page, "t", "Enter")
    answer(page, "4")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 2 waiting")
    page.unroute("**/judgments/")
    page.reload()
    see_question(page)
    wait_for_rows(page, 2)
    expect(page.locator(".past")).to_have_count(2)
    expect(page.locator(QUESTION)).to_have_text("What is 2 + 7?")
    expect(page.locator(".option").nth(3).locator("input")).to_be_checked()
    expect(page.locator(".option-key:visible")).to_have_count(0)  # the key is still hidden
    assert verdicts() == ["label_correct", "bad_question_clarity"]


def test_r24_the_last_question_leads_to_the_end_and_no_further(make_page):
    page = start(make_page, make_question_audit(n_items=1))
    answer(page, "1", "Enter")
    expect(page.get_by_role("heading", name="Nothing left for you")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    page.wait_for_timeout(EYES)
    wait_until_saved(page)
    assert verdicts() == ["label_correct"]
    page.keyboard.press("z")
    see_question(page)
    expect(page.locator(QUESTION)).to_have_text("What is 0 + 7?")


# ----- the revealed arm, gold, training


def test_the_revealed_arm_shows_key_and_experts_before_the_answer(make_page):
    audit = make_question_audit()
    Sample.objects.update(revealed_share=1)
    page = start(make_page, audit)
    expect(page.locator("[data-part=told-first]")).to_be_visible()
    expect(page.locator(".option-key:visible")).to_have_count(2)  # among options, and when told
    expect(page.locator("[data-part=told-options] tr")).to_have_count(4)
    expect(page.locator("[data-part=told-stop]")).to_be_hidden()
    check(page)
    answer(page, "2", "d", "Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.stage) == ("wrong_ground_truth", "revealed")
    assert (judgment.labels, judgment.blind_labels) == ([1], None)


def test_nothing_of_key_or_experts_is_seen_before_the_answer_elsewhere(make_page):
    page = start(make_page, make_question_audit())
    expect(page.locator("[data-part=told]")).to_be_hidden()
    expect(page.locator(".option-key:visible")).to_have_count(0)
    assert "stub:" not in page.locator("main").inner_text()
    answer(page, "2", "Enter")  # the key is shown, the experts are not
    expect(page.locator(".option-key:visible")).to_have_count(1)
    expect(page.locator("[data-part=told]")).to_be_hidden()


@pytest.mark.parametrize("mode", ["full", "quick"])
def test_training_tells_key_and_why_as_text_after_each_answer(make_page, mode):
    audit = make_audit_with_known("training", 2, n_training=2, gold_share=0)
    page = start(make_page, audit, mode)
    dialog = page.locator("#training-dialog")
    steps = {
        "Right": ["1", "Enter", "d", "Enter"] if mode == "full" else ["w", "d"],
        "Not what was expected": ["3", "Enter"] if mode == "full" else ["q"],
    }
    for title, keys in steps.items():
        expect(page.locator("[data-part=training]")).to_be_visible()
        answer(page, *keys)
        expect(dialog.locator("h2")).to_have_text(title)
        expect(dialog.locator("[data-part=training-why]")).to_contain_text("<b>add</b> them up")
        check(page)
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
    expect(page.locator("[data-part=training]")).to_be_hidden()
    expect(page.locator(QUESTION)).to_have_text("What is 0 + 7?")
    wait_until(page, Training.objects.exists)
    assert (Training.objects.get().n_right, Training.objects.get().n_items) == (1, 2)


def test_gold_questions_come_among_the_others_and_look_like_them(make_page):
    audit = make_audit_with_known("gold", 3, n_training=0, gold_share=0.5)
    page = start(make_page, audit)
    done = page.locator("[data-modes=done]")
    while not done.is_visible():
        see_question(page)
        assert "gold" not in page.locator("body").inner_text().lower()
        expect(page.locator("[data-part=training]")).to_be_hidden()
        answer(page, "1", "Enter")
        if page.locator("[data-part=basis]").is_visible():
            answer(page, "d", "Enter")
        wait_until_saved(page)
        page.reload()
        expect(page.locator("[data-modes=loading]")).to_be_hidden()
    assert ReviewSlot.objects.filter(purpose="gold", state="judged").exists()
    assert Judgment.objects.for_estimates().count() == 3
