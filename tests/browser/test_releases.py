"""The release page in a real browser: a policy made there, builds that go well, fail and die."""

from __future__ import annotations

import tarfile

import pytest
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from audit.models import Claimable, Role
from reviews.models import Release
from reviews.policies import find_policy
from reviews.release_files import release_folder
from reviews.services.releases import (
    build_release,
    order_release,
    reconcile_releases,
    save_policy,
)
from tests.browser.conftest import PHONE, WIDE
from tests.browser.test_curves import serious_violations
from tests.factories import make_member
from tests.reviews.situations import revise
from tests.reviews.test_releases import make_judged_audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "two-of-three-and-leave-sub-and-super-classes-alone"


@pytest.fixture
def audit():
    return make_judged_audit()


@pytest.fixture
def page(make_page, audit):
    page = make_page(make_member(audit.dataset.project, Role.MAINTAINER))
    page.goto(f"/audits/{audit.pk}/releases/")
    return page


def fits(page):
    """Whether nothing sticks out to the right, on a wide screen and on a phone."""
    widths = []
    for size in (PHONE, WIDE):
        page.set_viewport_size(size)
        widths.append(page.evaluate("document.documentElement.scrollWidth - innerWidth"))
    return max(widths) <= 0


def count_of(page, action):
    return page.locator(".counts tr", has_text=action).locator("td").inner_text()


def test_a_policy_is_made_previewed_refused_and_made_anew(page, audit):
    page.expected_errors.append("422")  # what is refused below
    assert [count_of(page, each) for each in ("relabelled", "excluded")] == ["1", "1"]
    page.get_by_text("A policy of your own").click()
    form = page.locator(".policy-form form")
    form.get_by_label("name").fill(LONG)
    form.get_by_label("wrong label").select_option("exclude")
    form.get_by_label("multi-object").select_option("keep")
    form.get_by_label("who decides").select_option("count")
    form.get_by_label("k", exact=True).fill("3")
    form.get_by_label("n", exact=True).fill("2")
    assert serious_violations(page) == []
    form.get_by_role("button", name="Store and preview").click()
    expect(page.get_by_text("3 of 2 votes: the first is at most the second")).to_be_visible()
    expect(form.get_by_label("wrong label")).to_have_value("exclude")  # nothing typed is lost
    form.get_by_label("k", exact=True).fill("1")
    form.get_by_label("n", exact=True).fill("1")
    form.get_by_label("undecided items").select_option("mark")
    form.get_by_role("button", name="Store and preview").click()
    expect(page.get_by_text(f"Policy {LONG} is stored as version 1")).to_be_visible()
    expect(page.locator(".policy-words")).to_contain_text("listed apart")
    counts = {
        each: int(count_of(page, each))
        for each in ("relabelled", "label added", "excluded", "undecided")
    }
    assert (counts["relabelled"], counts["label added"], counts["excluded"]) == (0, 0, 2)
    policy = find_policy(LONG, audit.dataset.project_id)
    assert (policy.needed, policy.asked, policy.undecided) == (1, 1, "mark")
    assert fits(page)
    page.get_by_role("button", name=f"Build with the {LONG} policy").click()
    build_release(Release.objects.get().pk)
    expect(page.get_by_role("link", name="undecided.csv")).to_be_visible()
    assert serious_violations(page) == []
    assert fits(page)


def test_a_policy_that_changes_nothing_says_so(page, audit):
    deeds = dict.fromkeys(find_policy("lenient", audit.dataset.project_id).deeds, "keep")
    save_policy(audit.dataset.project, "nothing", {"deeds": deeds})
    page.goto(f"/audits/{audit.pk}/releases/?policy=nothing")
    expect(page.get_by_text("Under this policy no label changes")).to_be_visible()
    expect(page.get_by_text("0 labels change")).to_be_visible()
    assert fits(page)


def test_a_build_is_watched_to_its_end_whether_good_or_bad(page, audit):
    page.get_by_label("hf-images").check()
    page.get_by_role("button", name="Build with the lenient policy").click()
    builds = page.locator("#releases")
    expect(builds).to_contain_text("waiting")
    running = {"work": "running", "owner": "gone:1", "epoch": 1, "attempts": 3}
    Release.objects.update(**running, n_written=5, heartbeat_at=timezone.now())
    expect(builds).to_contain_text("5 of 8 items written")
    expect(builds.get_by_role("progressbar")).to_have_attribute("value", "5")
    # Its worker is killed for the third time.
    long_ago = "2020-01-01T00:00Z"
    Release.objects.update(claimed_at=long_ago, heartbeat_at=long_ago)
    assert reconcile_releases() == 1
    expect(builds).to_contain_text("gone:1 died or fell silent")
    expect(builds).to_contain_text("Nothing of it is left")
    # A second one fails by itself: a picture has changed since it came in.
    picture = audit.dataset.folder / "00004.png"
    picture.write_bytes(picture.read_bytes() + b"x")
    build_release(order_release(audit, "lenient", formats=["hf-images"]).pk)
    page.reload()
    expect(builds).to_contain_text("hf-images: 00004.png isn't the picture that was imported")
    expect(builds).not_to_contain_text("RefusedError")
    Release.objects.filter(work=Claimable.Work.FAILED).update(error="x" * 300)
    page.reload()
    assert fits(page)
    assert serious_violations(page) == []


def test_versions_are_compared_downloaded_whole_and_built_again(page, audit, tmp_path, capsys):
    build_release(order_release(audit, "lenient").pk)
    judged = audit.sample.slots.get(sampled_item__item__position=1, number=1)
    revise(judged.judgment, "wrong_label", 2)
    build_release(order_release(audit, "lenient").pk)
    page.reload()
    page.get_by_role("button", name="What differs").click()
    expect(page.get_by_role("heading", name="From release 1 to 2")).to_be_visible()
    expect(page.locator(".change-row")).to_have_count(1)
    expect(page.locator(".change-row")).to_contain_text("relabelled")
    assert serious_violations(page) == []
    assert fits(page)
    page.get_by_role("link", name="All releases").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="All files as one archive").first.click()
    assert download.value.suggested_filename == f"{audit.dataset.slug}-release-2.tar"
    with tarfile.open(download.value.path()) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("*-release-2")
    call_command("verify_export", str(folder))
    call_command("rebuild_release", str(folder), "--out", str(tmp_path / "again"))
    assert "the same to the byte" in capsys.readouterr().out
    assert (folder / "manifest.json").read_bytes() == (
        release_folder(audit.pk, 2) / "manifest.json"
    ).read_bytes()
