"""The full desk in a real browser: classes to tick, proposals, reveal, keys of one's own."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Role
from reviews.models import DeskPreference, Judgment, Referral, Sample
from tests.browser.conftest import PHONE
from tests.browser.desk_steps import (
    annotator_of,
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
from tests.factories import make_member
from tests.reviews.proposal_cases import CASES, GIVEN, NEAR

pytestmark = pytest.mark.browser


def open_full_desk(make_page, **options) -> tuple[Page, object]:
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"), **options)
    open_desk(page, audit)
    return page, audit


def proposal(page: Page):
    return page.locator("[data-verdict][aria-pressed=true]")


def test_the_page_proposes_by_the_same_table_as_the_server(make_page):
    page, _ = open_full_desk(make_page)
    categories = {**NEAR, GIVEN: "label_correct"}
    for labels, expected in CASES:
        found = page.evaluate(
            "([labels, categories]) => proposeVerdict(labels, categories)",
            [labels, {str(label): str(name) for label, name in categories.items()}],
        )
        assert found == expected, labels


def test_the_page_allows_the_same_verdicts_as_the_server(make_page):
    from reviews.categories import allowed_verdicts

    page, _ = open_full_desk(make_page)
    categories = {str(label): str(name) for label, name in {**NEAR, GIVEN: "label_correct"}.items()}
    for labels, _ in CASES:
        allowed = page.evaluate(
            "([labels, categories]) => Object.keys(VERDICTS).filter("
            "(verdict) => allowsVerdict(verdict, labels, categories))",
            [labels, categories],
        )
        assert set(allowed) == set(allowed_verdicts(GIVEN, labels)), labels


def test_ticks_propose_the_category_and_enter_submits_it(make_page):
    page, _ = open_full_desk(make_page)  # labelled 0; 1 is a stranger, 2 looks alike
    for classes, words in [
        (["class 0"], "Label correct"),
        (["class 1"], "Wrong label"),
        (["class 2"], "Similar class"),
    ]:
        label = f"class {Judgment.objects.count() % 3}"
        names = {"class 0": label, "class 1": after(label, 1), "class 2": after(label, 2)}
        for name in classes:
            tick(page, names[name])
        expect(proposal(page)).to_contain_text(words)
        page.keyboard.press("Enter")
        wait_until_saved(page)
        see_item(page)
    assert verdicts() == ["label_correct", "wrong_label", "similar_class"]
    assert list(Judgment.objects.values_list("labels", "corrected_label")) == [
        ([0], None), ([2], 2), ([1], 1),
    ]  # fmt: skip
    assert set(Judgment.objects.values_list("stage", flat=True)) == {"blind"}


def after(name: str, steps: int) -> str:
    return f"class {(int(name[-1]) + steps) % 3}"


def test_several_ticks_make_a_multi_object_and_one_of_them_the_main_class(make_page):
    page, _ = open_full_desk(make_page)
    tick(page, "class 1")
    tick(page, "class 2")
    expect(proposal(page)).to_contain_text("Wrong label")  # 1 is the main class
    rows = page.locator(".tick .class-name").all_inner_texts()
    page.keyboard.press(f"Shift+Digit{rows.index('class 2') + 1}")
    expect(proposal(page)).to_contain_text("Similar class")
    expect(page.locator(".tick-main.is-main")).to_have_attribute(
        "aria-label", "class 2 is the main class"
    )
    tick(page, "class 0")
    expect(proposal(page)).to_contain_text("Multi-object")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels, judgment.corrected_label) == (
        "multi_object", [2, 1, 0], 2,
    )  # fmt: skip


def test_one_key_overrides_the_proposal_and_another_tick_proposes_anew(make_page):
    page, _ = open_full_desk(make_page)
    tick(page, "class 1")
    page.keyboard.press("b")
    expect(proposal(page)).to_contain_text("Sub-class")
    expect(page.locator("[data-part=proposal]")).to_have_text("yours, not wrong label")
    page.keyboard.press("q")  # contradicts the ticks
    expect(proposal(page)).to_contain_text("Sub-class")
    page.keyboard.press("b")
    expect(proposal(page)).to_contain_text("Wrong label")
    page.keyboard.press("p")
    tick(page, "class 2")
    expect(proposal(page)).to_contain_text("Wrong label")
    page.keyboard.press("p")
    page.keyboard.press("v")
    page.keyboard.press("v")
    expect(page.locator("[data-part=severity]")).to_have_text("clear")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.severity, judgment.corrected_label) == ("super_class", 2, 1)


def test_nothing_is_submitted_before_something_is_chosen_and_none_is_a_choice(make_page):
    page, _ = open_full_desk(make_page)
    see_item(page)
    page.keyboard.press("Enter")
    page.keyboard.press("w")
    expect(proposal(page)).to_have_count(0)
    assert not Judgment.objects.exists()
    page.keyboard.press("0")
    expect(proposal(page)).to_contain_text("Wrong label")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("verdict", "labels")) == [("wrong_label", [])]


def test_a_class_found_by_search_is_ticked_in_a_row_of_its_own(make_page):
    audit = make_full_audit(n_classes=9)
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    rows = page.locator(".tick")
    n_rows = rows.count()
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("8")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(n_rows + 1)
    expect(page.get_by_role("checkbox", name="class 8")).to_be_checked()
    expect(proposal(page)).to_contain_text("Wrong label")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    assert Judgment.objects.get().corrected_label == 8


def test_ticks_note_and_severity_survive_a_reload(make_page):
    page, audit = open_full_desk(make_page)
    tick(page, "class 1")
    page.keyboard.press("v")
    page.keyboard.press("c")
    page.keyboard.type("half done")
    page.keyboard.press("Enter")
    open_desk(page, audit)
    expect(page.get_by_role("checkbox", name="class 1")).to_be_checked()
    expect(page.locator("[data-part=severity]")).to_have_text("near miss")
    expect(page.locator("[data-part=note-mark]")).to_have_text("half done")


def test_undo_brings_the_ticks_back(make_page):
    page, _ = open_full_desk(make_page)
    tick(page, "class 1")
    tick(page, "class 2")
    press(page, ["Enter"])
    see_item(page)
    page.keyboard.press("z")
    expect(page.get_by_role("checkbox", name="class 1")).to_be_checked()
    expect(page.get_by_role("checkbox", name="class 2")).to_be_checked()
    wait_for_rows(page, 2)
    assert verdicts() == []


def test_label_and_experts_show_on_r_and_a_change_of_mind_is_a_second_version(make_page):
    page, _ = open_full_desk(make_page)
    told = page.locator("[data-part=told]")
    tick(page, "class 1")
    press(page, ["Enter"])
    wait_until_saved(page)
    expect(told).to_be_hidden()
    page.keyboard.press("r")
    expect(told).to_contain_text("labelled")
    expect(told.locator("[data-part=told-given]")).to_contain_text("class 0")
    expect(told.get_by_role("row")).to_have_count(3)
    expect(told).to_contain_text("Confidence bin 1 of 3")
    expect(page.locator("[data-part=past]")).to_contain_text("count what you said before")
    see_item(page)
    tick(page, "class 0")
    tick(page, "class 1")  # taken off
    page.keyboard.press("Enter")
    wait_until_saved(page)
    expect(told).to_be_hidden()  # back at the open item
    assert list(Judgment.objects.values_list("verdict", "stage")) == [
        ("wrong_label", "blind"), ("label_correct", "after"),
    ]  # fmt: skip
    assert Judgment.objects.counted().get().verdict == "wrong_label"


def test_the_desk_stops_at_each_reveal_for_those_who_want_that(make_page):
    page, _ = open_full_desk(make_page)
    press(page, ["u", "Enter"])
    wait_until_saved(page)
    page.keyboard.press("r")
    page.get_by_label("Stop here after every verdict").check()
    page.keyboard.press("Enter")  # nothing changed: on to the next
    expect(page.locator("[data-part=told]")).to_be_hidden()
    tick(page, f"class {Judgment.objects.count()}")
    see_item(page)
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=told]")).to_be_visible()
    assert Judgment.objects.count() == 2
    see_item(page)
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=told]")).to_be_hidden()
    assert Judgment.objects.count() == 2
    assert DeskPreference.objects.get().stops_at_reveal


def test_the_revealed_arm_shows_label_and_experts_before_the_verdict(make_page):
    audit = make_full_audit()
    Sample.objects.update(revealed_share=1.0)
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    expect(page.locator("[data-part=told]")).to_contain_text("shown before you judge")
    tick(page, "class 0")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    assert Judgment.objects.get().stage == "revealed"


def test_f_flags_an_item_for_adjudication_and_judging_goes_on(make_page):
    page, audit = open_full_desk(make_page)
    flag = page.get_by_role("button", name="flag", exact=True)
    page.keyboard.press("f")
    expect(flag).to_have_attribute("aria-pressed", "true")
    wait_until(page, lambda: Referral.objects.standing().count() == 1)
    open_desk(page, audit)
    expect(flag).to_have_attribute("aria-pressed", "true")
    tick(page, "class 0")
    press(page, ["Enter"])
    see_item(page)
    expect(flag).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("f")
    expect(flag).to_have_attribute("aria-pressed", "false")
    wait_until(page, lambda: not Referral.objects.standing().exists())
    assert verdicts() == ["label_correct"]


def test_clean_examples_stand_beside_each_class_and_x_shows_more(make_page):
    page, audit = open_full_desk(make_page)
    row = page.locator(".tick", has_text="class 1")
    expect(row.locator(".exemplars img")).to_have_count(3)
    expect(page.locator(".tick", has_text="class 0")).to_contain_text("no clean example")
    item = audit.dataset.items.first()
    own = reverse("audit:item_thumb", args=[item.pk])
    assert own not in row.locator(".exemplars").inner_html()
    page.keyboard.press("x")
    dialog = page.get_by_role("dialog", name="More examples")
    expect(dialog.locator("section", has_text="class 1").locator("img")).to_have_count(5)
    page.keyboard.press("x")
    expect(dialog).to_be_hidden()


def test_keys_are_changed_on_the_page_and_follow_the_person(make_page):
    page, audit = open_full_desk(make_page)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.get_by_role("button", name="Undo the last verdict").click()
    page.keyboard.press("f")
    expect(dialog.get_by_role("status")).to_contain_text("already means “Flag for adjudication”")
    page.keyboard.press("Backspace")
    expect(dialog.get_by_role("status")).to_have_text("Saved.")
    page.keyboard.press("Escape")
    press(page, ["u", "Enter"])
    see_item(page)
    page.keyboard.press("z")
    page.wait_for_timeout(100)
    expect(page.locator(".past")).to_have_count(1)
    page.keyboard.press("Backspace")
    expect(page.locator(".past")).to_have_count(0)
    wait_until_saved(page)
    open_desk(page, audit)
    expect(page.get_by_role("button", name="undo", exact=True).locator("kbd")).to_have_text("⌫")
    page.keyboard.press("?")
    page.get_by_role("button", name="The usual keys").click()
    expect(dialog.get_by_role("status")).to_have_text("Saved.")
    assert DeskPreference.objects.get().keys == {}


def test_who_switches_to_the_quick_desk_finds_the_same_items_there(make_page):
    page, _ = open_full_desk(make_page)
    first = page.locator(".picture-frame img").get_attribute("src")
    page.get_by_role("button", name="quick", exact=True).click()
    expect(page.get_by_role("heading", name="Given label")).to_be_visible()
    assert page.locator(".picture-frame img").get_attribute("src") == first
    press(page, "w")
    wait_until_saved(page)
    see_item(page)
    page.get_by_role("button", name="blind", exact=True).click()
    expect(page.get_by_text("Which of these does the picture show?")).to_be_visible()
    see_item(page)
    tick(page, "class 1")  # its label was in sight at the quick desk
    press(page, ["Enter"])
    wait_until_saved(page)
    see_item(page)
    press(page, ["0", "Enter"])
    wait_until_saved(page)
    assert list(Judgment.objects.values_list("mode", "stage")) == [
        ("quick", "revealed"), ("quick", "revealed"), ("full", "blind"),
    ]  # fmt: skip
    assert DeskPreference.objects.get().mode == "full"


def test_phones_open_the_quick_desk_and_wide_screens_the_full_one(make_page):
    audit = make_full_audit()
    for options, words in [
        ({"viewport": PHONE, "has_touch": True, "is_mobile": True}, "Given label"),
        ({}, "Which of these does the picture show?"),
    ]:
        page = make_page(make_member(audit.dataset.project, Role.ANNOTATOR), **options)
        open_desk(page, audit)
        expect(page.locator("#desk").get_by_text(words)).to_be_visible()


def test_on_a_phone_ticking_and_submitting_are_two_taps(make_page):
    page, _ = open_full_desk(make_page, viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_role("checkbox", name="class 1").tap()
    page.get_by_role("button", name="Next", exact=True).tap()
    wait_until_saved(page)
    see_item(page)
    assert verdicts() == ["wrong_label"]
