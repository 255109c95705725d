"""Log-in, tokens, members and log as their users meet them: narrow, with long names, twice sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from audit.models import ApiToken, Membership, Project, Role
from audit.services.api_tokens import make_token
from tests.factories import (
    PASSWORD,
    make_dataset,
    make_member,
    make_project,
    make_ready_audit,
    make_sample,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LAPTOP, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 844}
LONG, RIGHT_TO_LEFT = "w" * 118, "תוויות" * 19
FITS = "document.documentElement.scrollWidth <= innerWidth"
# A select is cut where it would be wider if it could.
CUT = """selects => selects.filter(select => {
  const free = select.cloneNode(true);
  free.style.cssText = "position: absolute; width: max-content";
  select.after(free);
  const isCut = select.offsetWidth < free.offsetWidth;
  free.remove();
  return isCut;
}).length"""


def in_view(page: Page, selector: str) -> bool:
    """Whether all of these stand within the window and within what scrolls around them."""
    return page.locator(selector).evaluate_all(
        """elements => elements.every(element => {
          const box = element.getBoundingClientRect();
          const frame = element.parentElement.getBoundingClientRect();
          return box.left >= frame.left - 1 && box.right <= Math.min(frame.right, innerWidth) + 1;
        })"""
    )


@pytest.fixture
def project() -> Project:
    project = make_project(LONG)
    for name in ("ben", LONG, RIGHT_TO_LEFT):
        make_member(project, name=name)
    return project


def test_long_names_fit_everywhere_and_on_phones_nothing_is_cut(make_page, project):
    admin = make_member(project, Role.ADMIN)
    for name in ("n" * 80, RIGHT_TO_LEFT[:80]):
        make_token(admin, name, ["read", "judge", "manage", "release"], project=project)
    page = make_page(admin, viewport=LAPTOP)
    people = f"/projects/{project.pk}/people/"
    paths = ("/", people, f"/projects/{project.pk}/log/", "/tokens/", "/password/")
    for size in (LAPTOP, PHONE):
        page.set_viewport_size(size)
        for path in paths:
            page.goto(path)
            assert page.evaluate(FITS), f"{path} scrolls sideways at {size['width']} px"
            assert page.locator("select[name=role]").evaluate_all(CUT) == 0, path
            wraps = page.locator(".members, .log, .tokens")
            if wraps.count():
                inner = wraps.first.locator("..").evaluate("it => it.scrollWidth - it.clientWidth")
                assert inner <= 1, f"the table of {path} is cut at {size['width']} px"
    page.goto("/")
    page.get_by_role("link", name=admin.username).click()
    expect(page.get_by_role("heading", name="API tokens")).to_be_visible()


def test_all_pages_of_an_audit_are_in_sight_and_from_the_desk_a_click_away(make_page):
    audit = make_ready_audit(make_dataset(n_items=6))
    page = make_page(make_member(audit.dataset.project, Role.ADMIN), viewport=LAPTOP)
    for width in (1440, 1200, 1100):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"/audits/{audit.pk}/")
        assert page.locator(".tabs a").count() == 11
        assert in_view(page, ".tabs a"), f"a tab is cut at {width} px"
    page.set_viewport_size(PHONE)
    page.goto(f"/audits/{audit.pk}/cascade/")
    assert in_view(page, ".tabs [aria-current]")


def test_the_desk_leads_to_the_audits_other_pages_by_a_menu_that_escape_closes(make_page):
    audit = make_ready_audit(make_dataset(n_items=6))
    make_sample(audit, 6)
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER), viewport=LAPTOP)
    page.goto(f"/audits/{audit.pk}/review/")
    release = page.get_by_role("link", name="Release")
    expect(release).to_be_hidden()
    page.get_by_role("button", name="Pages").press("Enter")
    expect(release).to_be_visible()
    page.keyboard.press("Escape")
    expect(release).to_be_hidden()
    page.get_by_role("button", name="Pages").click()
    release.click()
    expect(page.get_by_role("heading", name="Release", exact=True)).to_be_visible()


def test_what_is_shown_once_is_not_made_twice_by_loading_the_page_again(make_page, project):
    page = make_page(make_member(project, Role.ADMIN))
    page.goto("/tokens/")
    page.get_by_label("name").fill("nightly")
    page.get_by_label("your password").fill(PASSWORD)
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator(".api-secret")).to_be_visible()
    page.reload()
    expect(page.locator(".api-secret")).to_have_count(0)
    assert ApiToken.objects.count() == 1
    people = f"/projects/{project.pk}/people/"
    page.goto(people)
    page.get_by_label("name").fill("carla")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("is made. Its password is")).to_be_visible()
    expect(page.get_by_label("name")).to_have_value("")
    page.wait_for_url(f"**{people}")
    page.reload()
    expect(page.get_by_text("is made. Its password is")).to_have_count(0)
    assert Membership.objects.filter(user__username="carla").count() == 1


def test_a_phone_shows_the_field_that_was_refused(make_page, project):
    admin = make_member(project, Role.ADMIN)
    for number in range(6):
        make_token(admin, f"script {number}", ["read"])
    page = make_page(admin, viewport=PHONE)
    page.expected_errors.append("422")
    page.goto("/tokens/")
    page.get_by_label("name").fill("nightly")
    page.get_by_label("your password").fill("a slip")
    page.get_by_label("your password").press("Enter")
    expect(page.get_by_label("your password")).to_be_focused()
    expect(page.get_by_text("This is not your password.")).to_be_in_viewport()


def test_a_form_sent_after_the_log_in_ended_is_there_again_once_logged_in(make_page):
    audit = make_ready_audit(make_dataset(n_items=6))
    audit.state = "cancelled"
    audit.save()
    user = make_member(audit.dataset.project, Role.MAINTAINER)
    page = make_page(user)
    page.goto(f"/audits/{audit.pk}/")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Your log-in has ended: nothing was done.")).to_be_visible()
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
