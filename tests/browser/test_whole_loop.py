"""From finding to proving to fixing: ten verdicts by keyboard change the curve and the release."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from audit.hashed_folders import verify_folder
from audit.models import Audit, Role, ScoreSet
from audit.services.audits import start_audit
from audit.services.calibration import calibrate_audit
from audit.services.scores import store_scores
from reviews.models import DeskPreference, Judgment, Release
from reviews.release_files import release_folder
from reviews.services.releases import build_release
from reviews.services.sampling import freeze_sample
from tests.browser.conftest import log_in_through_the_page
from tests.browser.desk_steps import press, see_item, wait_for_rows, wait_until_saved
from tests.factories import make_dataset, make_member

pytestmark = pytest.mark.browser
N_ITEMS, N_CLASSES, N_WRONG = 240, 4, 30


def make_audit() -> Audit:
    """A real audit of items whose first thirty labels both experts dispute."""
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    labels = np.arange(N_ITEMS) % N_CLASSES
    believed = labels.copy()
    believed[:N_WRONG] = (labels[:N_WRONG] + 1) % N_CLASSES
    for name, seed in (("first", 1), ("second", 2)):
        rng = np.random.default_rng(seed)
        seen = believed.copy()
        slips = rng.choice(np.arange(N_WRONG, N_ITEMS), size=15, replace=False)
        seen[slips] = (seen[slips] + 2) % N_CLASSES
        logits = rng.normal(size=(N_ITEMS, N_CLASSES)).astype(np.float32)
        logits[np.arange(N_ITEMS), seen] += rng.uniform(3, 8, N_ITEMS).astype(np.float32)
        store_scores(dataset, name, [logits], source=ScoreSet.Source.IMPORTED)
    audit = start_audit(dataset, ["first", "second"], n_bins=5)
    assert calibrate_audit(audit.pk)
    audit.refresh_from_db()
    freeze_sample(audit, size=28, unflagged=6)
    return audit


def read_release(page: Page, release: Release) -> list[dict[str, str]]:
    """Download labels.csv as the browser would."""
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("link", name="labels.csv").first.click()
    text = download.value.path().read_text(encoding="utf-8")
    assert not verify_folder(release_folder(release.audit_id, release.number))
    return list(csv.DictReader(io.StringIO(text)))


def order_release(page: Page, audit: Audit, user: User) -> Release:
    page.goto(f"/audits/{audit.pk}/releases/")
    page.get_by_role("button", name="Build with the lenient policy").click()
    expect(page.get_by_text("waiting").or_(page.get_by_text("building")).first).to_be_visible()
    release = Release.objects.filter(audit=audit).order_by("-number")[0]
    assert release.created_by == user
    assert build_release(release.pk)
    return release


def judged_on_the_curves_page(page: Page, audit: Audit) -> int:
    page.goto(f"/audits/{audit.pk}/curves/")
    expect(page.locator("#curves-data")).to_be_attached()
    report = page.evaluate("JSON.parse(document.getElementById('curves-data').textContent)")
    last = report["methods"]["ensemble"]["points"][-1]
    return int(last["judged"]) + int(last["unsure"])


def test_ten_verdicts_one_undone_then_the_curve_and_the_release_follow(make_page):
    audit = make_audit()
    maintainer = make_member(audit.dataset.project, Role.MAINTAINER)
    DeskPreference.objects.create(user=maintainer, mode="quick")
    page = make_page(maintainer, log_in=False)
    log_in_through_the_page(page, maintainer)
    page.get_by_role("link", name="Review").first.click()
    see_item(page)

    press(page, "wqwuwmwqww")
    see_item(page)
    page.keyboard.press("z")
    expect(page.locator(".past")).to_have_count(9)
    wait_until_saved(page)
    wait_for_rows(page, 11)
    assert Judgment.objects.standing().count() == 9
    assert Judgment.objects.count() == 11

    before = judged_on_the_curves_page(page, audit)
    release = order_release(page, audit, maintainer)
    rows = read_release(page, release)
    assert [row["key"] for row in rows] == [item.key for item in audit.dataset.items.all()]
    changed = {row["key"]: row for row in rows if row["action"] not in {"kept", "undecided"}}
    standing = Judgment.objects.standing().exclude(verdict__in=["label_correct", "unsure"])
    assert set(changed) == {each.slot.sampled_item.item.key for each in standing}

    page.goto(f"/audits/{audit.pk}/review/")
    press(page, "w")
    wait_for_rows(page, 12)
    undone = Judgment.objects.standing().order_by("-pk")[0]
    flagged = audit.flags.filter(method="ensemble", item=undone.slot.sampled_item.item).exists()
    assert judged_on_the_curves_page(page, audit) == before + flagged
    again = order_release(page, audit, maintainer)
    assert again.number == release.number + 1
    later = {
        row["key"]
        for row in read_release(page, again)
        if row["action"] not in {"kept", "undecided"}
    }
    assert later - set(changed) == {undone.slot.sampled_item.item.key}
