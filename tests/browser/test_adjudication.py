"""The adjudication page in a real browser: everything in sight, decided by keyboard or mouse."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.models import Audit, DatasetClass, Role
from reviews.models import Adjudication, Referral, Verdict
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from tests.browser.conftest import PHONE, take
from tests.browser.desk_steps import check, make_audit, wait_until
from tests.browser.question_steps import CODE, FORMULAS, HOSTILE, make_question_audit, rewrite
from tests.factories import make_member

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def make_split(*answers: Answer, n_items: int = 3) -> Audit:
    """The first item of a sample of pictures has these votes, the second a flag."""
    audit = make_audit(n_items, votes_per_item=2)
    type(audit.sample).objects.update(adds_third_vote=False)
    audit.sample.items.update(candidates=[0, 1, 2])
    cast_votes(audit, *answers)
    return audit


def cast_votes(audit: Audit, *answers: Answer) -> None:
    sample = audit.sample
    sample.refresh_from_db()
    for answer in answers:
        person = make_member(audit.dataset.project)
        slot = claim_slots(sample, person, 1)[0]
        record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
    Referral.objects.create(
        sampled_item=sample.items.get(order=1), annotator=make_member(audit.dataset.project)
    )


def open_case(make_page, audit: Audit, place: int = 0, **options) -> Page:
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER), **options)
    page.goto(address(audit, place))
    return page


def address(audit: Audit, place: int = 0) -> str:
    item = audit.sample.items.get(order=place).item_id
    return reverse("reviews:adjudicate_item", args=[audit.pk, item])


def row(page: Page, name: str):
    return page.locator(".case-options tbody tr", has_text=name)


YES = Answer(Verdict.LABEL_CORRECT, labels=(0,), note="a zero")
BOTH = Answer(Verdict.MULTI_OBJECT, 1, labels=(0, 1))


def test_by_keyboard_alone_several_classes_are_decided_and_the_next_item_comes(make_page):
    audit = make_split(YES, BOTH)
    page = open_case(make_page, audit)
    expect(row(page, "class 0").locator(".option-votes .pill")).to_have_count(2)
    expect(row(page, "class 1").locator(".option-votes .pill")).to_have_count(1)
    for key in ("1", "2", "3", "m"):
        page.keyboard.press(key)
    expect(page.locator("[name=labels]:checked")).to_have_count(3)
    take(page, "adjudicate-picture")
    expect(page.locator("[name=verdict]:checked")).to_have_value("multi_object")
    page.keyboard.press("Enter")  # the reason is missing: the browser asks for it
    expect(page.locator("#id_reason")).to_be_focused()
    page.keyboard.type("mq1: all of them are there")  # no key of the desk while typing
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**{address(audit, 1)}")
    ruled = Adjudication.objects.get()
    assert (ruled.verdict, ruled.corrected_label, ruled.labels) == ("multi_object", 1, [0, 1, 2])
    assert ruled.reason == "mq1: all of them are there"


def test_the_main_class_is_ticked_and_what_is_not_ticked_is_not_main(make_page):
    page = open_case(make_page, make_split(YES, BOTH))
    page.keyboard.press("2")
    page.keyboard.press("Shift+Digit3")
    expect(page.locator("[name=labels]:checked")).to_have_count(2)
    page.keyboard.press("w")
    page.keyboard.press("c")
    page.keyboard.type("two things, neither is a zero")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    wait_until(page, Adjudication.objects.exists)
    assert Adjudication.objects.get().labels == [2, 1]


def test_a_double_click_decides_once_and_back_shows_what_stands(make_page):
    audit = make_split(YES, BOTH)
    page = open_case(make_page, audit)
    page.get_by_label("Label correct").check()
    page.locator("#id_reason").fill("it is a zero")
    page.get_by_role("button", name="Decide").dblclick()
    page.wait_for_url(f"**{address(audit, 1)}")
    assert Adjudication.objects.count() == 1
    page.go_back()
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    expect(page.get_by_role("heading", name="Decide again")).to_be_visible()


def test_r16_of_two_adjudicators_the_second_sees_what_stands_and_keeps_what_was_written(make_page):
    audit = make_split(YES, BOTH)
    first, second = (open_case(make_page, audit) for _ in range(2))
    second.expected_errors.append("409")
    for page, label, words in ((first, "q", "it is a zero"), (second, "m", "both are there")):
        if page is second:
            page.keyboard.press("1")
            page.keyboard.press("2")
        page.keyboard.press(label)
        page.locator("#id_reason").fill(words)
        page.get_by_role("button", name="Decide").click()
        if page is first:
            page.wait_for_url(f"**{address(audit, 1)}")
    expect(second.get_by_role("alert")).to_contain_text("somebody has decided this item meanwhile")
    expect(second.locator("[aria-labelledby=decisions-title]")).to_contain_text("it is a zero")
    expect(second.locator("#id_reason")).to_have_value("both are there")
    expect(second.locator("[name=labels]:checked")).to_have_count(2)
    assert Adjudication.objects.count() == 1
    second.get_by_role("button", name="Decide").click()
    second.wait_for_url(f"**{address(audit, 1)}")
    assert Adjudication.objects.standing().get().reason == "both are there"


def test_a_question_shows_formulas_code_and_each_options_probabilities_and_votes(make_page):
    audit = make_question_audit(n_items=3)
    type(audit.sample).objects.update(votes_per_item=2, adds_third_vote=False)
    rewrite(audit.dataset, 0, f"{FORMULAS}\n{CODE}", ["$x^2$", "`f(7)`", "three", "four"])
    cast_votes(audit)
    person = make_member(audit.dataset.project)
    slot = claim_slots(audit.sample, person, 1)[0]
    answer = Answer(
        "multiple_correct", 1, labels=(0, 1), has_derivation=True, note="see `f` and $x$"
    )
    record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
    page = open_case(make_page, audit)
    expect(page.locator(".question math")).to_have_count(3)
    expect(page.locator(".question pre")).to_contain_text("def f(n):")
    expect(page.locator(".case-options math")).to_have_count(1)
    votes = page.locator(".option-votes")
    for option, n_votes in enumerate([1, 1, 0, 0]):
        expect(votes.nth(option).locator(".pill")).to_have_count(n_votes)
    n_experts = audit.experts.count()
    expect(row(page, "three").locator("td.num")).to_have_count(n_experts)
    expect(page.locator("tr.is-given .pill", has_text="key")).to_have_count(1)
    check(page)
    take(page, "adjudicate-question")
    for key in ("2", "Shift+C", "m", "c"):
        page.keyboard.press(key)
    page.keyboard.type("both hold")
    page.keyboard.press("Control+Enter")
    wait_until(page, Adjudication.objects.exists)
    ruled = Adjudication.objects.get()
    assert (ruled.verdict, ruled.labels, ruled.corrected_label) == ("multiple_correct", [1, 2], 1)


@pytest.mark.parametrize(("options", "scheme"), [({}, "light"), ({"viewport": PHONE}, "dark")])
def test_b090_b091_b092_b093_hostile_words_show_as_text_everywhere(make_page, options, scheme):
    questions = make_question_audit(n_items=3)
    type(questions.sample).objects.update(votes_per_item=2)
    rewrite(
        questions.dataset, 0, HOSTILE, [HOSTILE, "<img src=x onerror=alert(1)>", "{{7*7}}", "d"]
    )
    cast_votes(questions, Answer("no_correct", labels=(), source=HOSTILE[:400], note=HOSTILE))
    pictures = make_split(Answer(Verdict.WRONG_LABEL, 1, labels=(1,), note=HOSTILE[:900]), YES)
    DatasetClass.objects.filter(dataset=pictures.dataset).update(name=HOSTILE[:120], gloss=HOSTILE)
    for audit in (questions, pictures):
        page = open_case(make_page, audit, color_scheme=scheme, **options)
        title = page.title()
        expect(page.locator("main")).to_contain_text("<script>document.title = 1</script>")
        assert (
            page.locator("main :is(script[src], [onerror], [style], [href^=javascript])").count()
            == 0
        )
        check(page)
        take(page, f"adjudicate-hostile-{scheme}-{audit.dataset.has_questions}")
        page.locator("#id_reason").fill(HOSTILE[:1500])
        page.keyboard.press("Escape")
        page.keyboard.press("u")
        page.get_by_role("button", name="Decide").click()
        wait_until(page, Adjudication.objects.filter(sampled_item__sample__audit=audit).exists)
        page.goto(reverse("reviews:adjudication", args=[audit.pk]))
        expect(page.locator("main")).to_contain_text("<script>document.title = 1</script>")
        check(page)
        assert page.title() != "1"
        assert title != "1"
