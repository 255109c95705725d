"""The desk for questions in a real browser: own answer, key, class, source; nothing is lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from audit.models import Audit
from reviews.models import Judgment
from reviews.question_categories import allowed_question_verdicts
from tests.browser.conftest import PHONE
from tests.browser.desk_steps import (
    annotator_of,
    check,
    verdicts,
    wait_for_rows,
    wait_until_saved,
)
from tests.browser.question_steps import (
    CODE,
    FORMULAS,
    HOSTILE,
    PASSAGE,
    answer,
    make_question_audit,
    open_question_desk,
    rewrite,
    see_question,
)
from tests.reviews.question_cases import CASES, GIVEN

pytestmark = pytest.mark.browser
STANDING = "[data-verdict][aria-pressed=true]"


def open_blind(make_page, audit: Audit | None = None, **options) -> tuple[Page, Audit]:
    audit = audit or make_question_audit()
    page = make_page(annotator_of(audit, "full"), **options)
    open_question_desk(page, audit)
    return page, audit


def test_the_page_derives_and_allows_the_same_classes_as_the_server(make_page):
    page, _ = open_blind(make_page)
    for labels, expected in CASES:
        derived, allowed = page.evaluate(
            "([labels, given]) => [proposeVerdict(labels, given), Object.keys(VERDICTS).filter("
            "(verdict) => allowsVerdict(verdict, labels, given))]",
            [labels, GIVEN],
        )
        assert derived == expected, labels
        assert set(allowed) == set(allowed_question_verdicts(GIVEN, labels)), labels


def test_an_answer_that_is_the_key_leads_to_the_next_question_at_once(make_page):
    page, _ = open_blind(make_page)
    expect(page.locator("[data-part=question]")).to_have_text("What is 0 + 7?")
    expect(page.locator(".option-key:visible")).to_have_count(0)  # no mark on the key yet
    answer(page, "1", "Enter")
    wait_until_saved(page)
    expect(page.locator("[data-part=question]")).to_have_text("What is 1 + 7?")
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels, judgment.stage) == ("label_correct", [0], "blind")


def test_another_answer_shows_the_key_and_needs_a_derivation_or_a_source(make_page):
    page, _ = open_blind(make_page)
    for keys, words, stored in [
        ("2", "Wrong key", ("wrong_ground_truth", [1], 1)),
        ("14", "Several correct", ("multiple_correct", [0, 3], 0)),
        ("0", "No correct answer", ("no_correct", [], None)),
    ]:
        answer(page, *keys, "Enter")
        expect(page.locator(STANDING)).to_contain_text(words)
        expect(page.locator(".is-key")).to_have_count(1)
        page.keyboard.press("Enter")  # nothing shows it yet
        expect(page.locator("[data-part=announce]")).to_contain_text("name a source")
        page.keyboard.press("d")
        page.keyboard.press("Enter")
        wait_until_saved(page)
        judgment = Judgment.objects.last()
        assert (judgment.verdict, judgment.labels, judgment.corrected_label) == stored
        assert judgment.has_derivation
        assert judgment.blind_labels == judgment.labels


def test_a_source_is_typed_once_and_kept_through_a_reload(make_page):
    page, _ = open_blind(make_page)
    answer(page, "2", "Enter", "s")
    page.keyboard.type("https://example.org/?q=<b>1</b> qwmn")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=source-words]")).to_contain_text("<b>1</b>")
    page.reload()
    see_question(page)
    expect(page.locator(STANDING)).to_contain_text("Wrong key")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.get()
    assert judgment.source == "https://example.org/?q=<b>1</b> qwmn"
    assert (judgment.blind_labels, judgment.has_derivation) == ([1], False)


def test_who_had_it_wrong_gives_in_with_one_key_and_the_first_answer_is_kept(make_page):
    page, _ = open_blind(make_page)
    answer(page, "3", "Enter", "q")
    expect(page.locator(STANDING)).to_contain_text("Key correct")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.verdict, judgment.labels) == ("label_correct", [0])
    assert judgment.blind_labels == [2]


def test_no_class_can_be_given_before_the_answer_but_unclear_and_unsure(make_page):
    page, _ = open_blind(make_page)
    answer(page, "q", "w", "m", "n", "Enter")
    expect(page.locator(STANDING)).to_have_count(0)
    expect(page.locator("[data-part=announce]")).to_contain_text("Answer first")
    assert not Judgment.objects.exists()
    for key, verdict in [
        ("t", "bad_question_clarity"),
        ("o", "bad_options_clarity"),
        ("u", "unsure"),
    ]:
        answer(page, key, "Enter")
        wait_until_saved(page)
        assert Judgment.objects.last().verdict == verdict
    # Unclear stands whatever is answered besides.
    answer(page, "o", "2", "Enter")
    wait_until_saved(page)
    judgment = Judgment.objects.last()
    assert (judgment.verdict, judgment.labels) == ("bad_options_clarity", [1])


def test_ten_options_are_ticked_by_number_or_capital_letter(make_page):
    page, _ = open_blind(make_page, make_question_audit(n_choices=10))
    answer(page, "9")
    page.keyboard.press("Shift+J")
    page.keyboard.press("Shift+A")
    ticked = page.locator(".option:has(input:checked) [data-letter]").all_inner_texts()
    assert ticked == ["A", "I", "J"]
    page.keyboard.press("Enter")
    page.keyboard.press("d")
    see_question(page)
    page.keyboard.press("Enter")
    wait_until_saved(page)
    assert Judgment.objects.get().labels == [0, 8, 9]


def test_the_quick_desk_is_one_key_for_a_right_key_and_asks_once_for_a_changed_one(make_page):
    audit = make_question_audit()
    page = make_page(annotator_of(audit, "quick"), viewport=PHONE)
    open_question_desk(page, audit)
    expect(page.locator(".is-key [data-letter]")).to_have_text("A")
    answer(page, "q")
    wait_until_saved(page)
    answer(page, "w")
    expect(page.locator("[data-part=basis]")).to_be_visible()
    page.keyboard.press("d")
    wait_until_saved(page)
    answer(page, "n", "s")
    page.keyboard.type("a book")
    page.keyboard.press("Enter")
    wait_until_saved(page)
    assert list(
        Judgment.objects.values_list("verdict", "labels", "source", "has_derivation", "stage")
    ) == [
        ("label_correct", None, "", False, "revealed"),
        ("wrong_ground_truth", [2], "", True, "revealed"),  # what the experts answer is ticked
        ("no_correct", [], "a book", False, "revealed"),
    ]


# ----- nothing is lost


def test_r12_verdicts_given_offline_are_stored_once_and_in_order_after_a_reload(make_page):
    page, _ = open_blind(make_page)
    page.expected_errors += ["Failed to load resource", "ERR_INTERNET_DISCONNECTED"]
    page.context.set_offline(True)
    answer(page, "1", "Enter")
    answer(page, "3", "Enter", "d", "Enter")
    answer(page, "u", "Enter")
    expect(page.locator("[data-part=status-words]")).to_have_text("offline, 3 waiting")
    assert not Judgment.objects.exists()
    page.context.set_offline(False)
    page.reload()
    wait_for_rows(page, 3)
    wait_until_saved(page)
    assert verdicts() == ["label_correct", "wrong_ground_truth", "unsure"]
    assert list(Judgment.objects.values_list("slot__order", flat=True)) == [0, 1, 2]


def test_r02_r06_a_double_click_makes_one_verdict_and_back_another_version(make_page):
    page, _ = open_blind(make_page)
    answer(page, "1")
    page.locator("[data-act=submit]").dblclick()
    wait_until_saved(page)
    assert verdicts() == ["label_correct"]
    see_question(page)
    page.go_back()
    page.go_forward()
    see_question(page)
    expect(page.locator("[data-part=question]")).to_have_text("What is 1 + 7?")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-part=past-words]")).to_have_text("Key correct: A")
    answer(page, "2", "1", "d", "Enter")
    wait_for_rows(page, 2)
    wait_until_saved(page)
    assert verdicts() == ["wrong_ground_truth"]
    newer = Judgment.objects.last()
    assert newer.supersedes == Judgment.objects.first()
    assert (newer.labels, newer.blind_labels) == ([1], [0])


def test_r14_undo_gives_the_question_back_with_what_was_said(make_page):
    page, _ = open_blind(make_page)
    answer(page, "2", "Enter", "d", "Enter")
    wait_until_saved(page)
    see_question(page)
    page.keyboard.press("z")
    expect(page.locator("[data-part=question]")).to_have_text("What is 0 + 7?")
    expect(page.locator(STANDING)).to_contain_text("Wrong key")
    expect(page.locator("[data-part=derivation]")).to_have_attribute("aria-pressed", "true")
    answer(page, "q", "Enter")
    wait_for_rows(page, 3)
    wait_until_saved(page)
    assert verdicts() == ["label_correct"]
    assert Judgment.objects.last().blind_labels == [1]  # the key was known by then


# ----- texts


def test_formulas_and_code_are_set_and_money_stays_money(make_page):
    audit = make_question_audit()
    rewrite(audit.dataset, 0, FORMULAS, ["$\\mathbb{R}$", "$x^2$", "US$ 5 to $10", "\\(y\\)"])
    rewrite(audit.dataset, 1, CODE, ["`f(7)`", "for x in y:\n    print(x)", "<pre>", "8"])
    page, _ = open_blind(make_page, audit)
    text = page.locator("[data-part=question]")
    expect(text.locator("math")).to_have_count(3)
    expect(text).to_contain_text("A ticket costs $5 and two cost $10.")
    expect(page.locator(".option math")).to_have_count(3)
    expect(page.locator(".option-text").first).to_contain_text("\u211d")
    expect(page.locator(".option-text").nth(2)).to_have_text("US$ 5 to $10")
    answer(page, "u", "Enter")
    see_question(page)
    expect(text.locator("pre")).to_have_text(
        "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\n\n"
        "print([f(n) for n in range(7)])"
    )
    expect(text.locator("code").last).to_have_text("range(7)")
    expect(page.locator(".option pre")).to_have_text("for x in y:\n    print(x)")


def test_b090_b093_hostile_texts_show_as_text_also_within_formulas(make_page):
    audit = make_question_audit()
    rewrite(
        audit.dataset, 0, HOSTILE, [HOSTILE, "<img src=x onerror=alert(1)>", "{{7*7}}", "$\\x$"]
    )
    audit.dataset.items.filter(position=0).update(subject="<script>alert(1)</script>")
    page, _ = open_blind(make_page, audit)
    title = page.title()
    text = page.locator("[data-part=question]")
    for words in [
        "<script>document.title = 1</script>",
        "{{7*7}}",
        "javascript:alert(1)",
        "<|im_start|>",
    ]:
        expect(text).to_contain_text(words)
    for words in ["$\\href{javascript:alert(1)}{x}$", "$\\htmlStyle{color:red}{y}$", "$\\frac{1$"]:
        expect(text.locator(".formula-source", has_text=words)).to_have_count(1)
    assert page.locator("#desk :is(script, img, a, b, [style], [onerror])").count() == 0
    expect(page.locator("[data-part=subject]")).to_have_text("<script>alert(1)</script>")
    answer(page, "2", "Enter", "c")
    page.keyboard.type(HOSTILE[:120])
    page.keyboard.press("Enter")
    check(page)
    assert page.title() == title


@pytest.mark.parametrize("mode", ["full", "quick"])
@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (720, "light"), (1440, "dark")])
def test_r28_axe_finds_nothing_serious_and_nothing_scrolls_sideways(make_page, width, scheme, mode):
    audit = make_question_audit(n_choices=10)
    options = ["$\\int_0^1 x\\,dx$", "`code`" * 20, *map(str, range(8))]
    rewrite(audit.dataset, 0, f"{PASSAGE}\n{FORMULAS}\n{CODE}", options)
    page = make_page(
        annotator_of(audit, mode), viewport={"width": width, "height": 700}, color_scheme=scheme
    )
    open_question_desk(page, audit)
    check(page)
    answer(page, *(["2", "Enter"] if mode == "full" else ["w"]))
    check(page)
    page.keyboard.press("d")
    answer(page, *(["Enter"] if mode == "full" else []))
    wait_until_saved(page)
    page.keyboard.press("r")
    expect(page.locator("[data-part=told]")).to_be_visible()
    page.keyboard.press("g")
    check(page)
    page.keyboard.press("g")
    page.keyboard.press("?")
    check(page)


def test_r28_a_long_passage_scrolls_by_key_while_the_options_stay(make_page):
    audit = make_question_audit()
    rewrite(audit.dataset, 0, PASSAGE, ["one", "two", "three", "four"])
    page, _ = open_blind(make_page, audit)
    text = page.locator("[data-part=question]")
    expect(page.locator("[data-part=more]")).to_be_visible()
    assert text.evaluate("one => one.scrollTop") == 0
    page.keyboard.press("PageDown")
    page.wait_for_function("document.querySelector('.text-body').scrollTop > 200")
    expect(page.locator(".option").last).to_be_in_viewport()
    expect(page.locator("[data-act=submit]")).to_be_in_viewport()
    for _ in range(8):
        page.keyboard.press("PageDown")
    expect(page.locator("[data-part=more]")).to_be_hidden()
    # About 80 characters a line, however wide the screen.
    width = text.evaluate(
        "one => one.clientWidth - 2 * parseFloat(getComputedStyle(one).paddingLeft)"
    )
    assert width < 705
