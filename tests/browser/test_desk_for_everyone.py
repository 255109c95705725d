"""R28: the desk by keyboard alone, by screen reader, on any screen, in either theme."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from reviews.models import Judgment, Mode
from tests.browser.desk_steps import (
    annotator_of,
    check,
    make_full_audit,
    open_desk,
    press,
    see_item,
    verdicts,
    wait_until_saved,
)
from tests.factories import make_dataset, make_ready_audit

pytestmark = pytest.mark.browser
# 720 px is a 1,440 px screen at 200 %.
SCREENS = [(320, "dark"), (360, "light"), (720, "dark"), (1440, "light"), (1440, "dark")]


@pytest.mark.parametrize("mode", Mode.values)
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_r28_no_page_scrolls_sideways_and_axe_finds_nothing_serious(make_page, width, scheme, mode):
    audit = make_full_audit()
    page = make_page(
        annotator_of(audit, mode), viewport={"width": width, "height": 700}, color_scheme=scheme
    )
    # axe runs by a script of its own, which changes no policy of the page.
    open_desk(page, audit)
    press(page, "wq" if mode == "quick" else ["1", "Enter", "0"])
    check(page)
    page.keyboard.press("r")
    expect(page.locator("[data-part=told]")).to_be_visible()
    page.keyboard.press("g")
    check(page)
    page.keyboard.press("g")
    for dialog in ["?", "/", "x"]:
        page.keyboard.press(dialog)
        check(page)
        page.keyboard.press("Escape")


def test_r28_the_pages_beside_the_desk_are_accessible_too(make_page):
    audit = make_ready_audit(make_dataset())
    page = make_page(annotator_of(audit), viewport={"width": 360, "height": 700})
    page.goto(reverse("reviews:desk", args=[audit.pk]))
    check(page)
    page.get_by_role("button", name="Log out").click()
    check(page)


def test_r28_every_verdict_is_reached_by_tabbing(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    page.get_by_role("checkbox").first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox").first).to_be_checked()
    expect(page.get_by_role("checkbox").first).to_be_focused()
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.innerText.trim()"))
    for name in ["Wrong label", "Similar class", "Sub-class", "Super-class", "Unsure", "Next"]:
        assert any(name in text for text in seen), name
    page.get_by_role("button", name="Unsure").focus()
    page.keyboard.press("Enter")  # the focused button's own Enter, which submits nothing
    expect(page.get_by_role("button", name="Unsure")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Next", exact=True).focus()
    page.keyboard.press("Space")
    wait_until_saved(page)
    assert verdicts() == ["unsure"]


def test_r28_what_happens_is_said_aloud(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    said = page.locator("[data-part=announce]")
    name = page.locator(".tick .class-name").nth(1).inner_text()
    page.keyboard.press("2")
    expect(said).to_contain_text(f"{name} ticked. ")
    page.keyboard.press("u")
    expect(said).to_have_text("Verdict: Unsure")
    see_item(page)
    page.keyboard.press("Enter")
    expect(said).to_contain_text("Next item")
    page.keyboard.press("z")
    expect(said).to_contain_text("Undone: Unsure")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("Put off for later")


def test_people_who_want_less_motion_get_none(make_page):
    audit = make_full_audit()
    page = make_page(annotator_of(audit, "full"), reduced_motion="reduce")
    open_desk(page, audit)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((one) => {"
        "const style = getComputedStyle(one);"
        "return style.animationName !== 'none' || style.transitionDuration.split(', ')"
        ".some((time) => parseFloat(time) > 0) }).length"
    )
    assert moving == 0


def test_b090_b091_hostile_names_and_notes_show_as_text(make_page):
    audit = make_full_audit()
    names = [
        '<img src=x onerror="document.title=1">{{7*7}}',
        "\u202e}(txet desrever)\u2066{% debug %}",
        "Z" + "\u0335\u0321" * 100 + " javascript:alert(1)",
    ]
    for index, name in enumerate(names):
        audit.dataset.classes.filter(index=index).update(name=name, gloss=f"<b>{name}</b>" * 20)
    page = make_page(annotator_of(audit, "full"))
    open_desk(page, audit)
    title = page.title()
    shown = set(page.locator(".tick .class-name").all_text_contents())
    assert shown == set(names)
    assert page.locator(".tick bdi.class-name").count() == 3
    for row in page.locator(".tick").all():
        assert row.bounding_box()["height"] < 160  # ten thousand accents stay in their row
    page.keyboard.press("c")
    page.keyboard.type("<script>document.title = 2</script>")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=note-mark]")).to_contain_text("<script>")
    press(page, ["1", "Enter"])
    wait_until_saved(page)
    page.keyboard.press("r")
    expect(page.locator("[data-part=told-given] .class-name")).to_have_text(names[0])
    page.keyboard.press("/")
    expect(page.get_by_role("option")).to_have_count(3)
    page.keyboard.press("Escape")
    assert page.title() == title
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Judgment.objects.get().note == "<script>document.title = 2</script>"
