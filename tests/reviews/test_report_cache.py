"""Kept reports: read again while nothing new is known, made anew by whatever changes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audit.evidence import evidence_folder
from audit.models import Audit, Role
from reviews import report_cache
from reviews.models import Policy, StoredPolicy, Verdict, Vote, VoteSource
from reviews.report_cache import find_report
from reviews.reports import curves
from reviews.services.adjudication import Ruling, adjudicate, look
from reviews.services.judgments import withdraw
from reviews.services.sampling import freeze_sample
from tests.factories import make_member
from tests.reviews.situations import judge, make_mixed_audit, revise

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit() -> Audit:
    audit = make_mixed_audit()
    freeze_sample(audit, size=50, unflagged=20)
    return audit


def report_of(audit: Audit, truth: str = "judgments", policy: str = Policy.LENIENT) -> dict:
    """Return the page's report, which must be what a new calculation says."""
    report = find_report(audit, truth, policy)
    assert report == json.loads(json.dumps(curves(audit, truth, policy, equal_detection=True)))
    return report


def kept(audit: Audit) -> list[Path]:
    return sorted((evidence_folder(audit.pk) / "reports").glob("*.json"))


def test_the_same_report_is_read_and_not_made_again(audit, django_assert_max_num_queries):
    judge(audit.sample, {0: "wrong_label", 1: "label_correct"})
    report = report_of(audit)
    with django_assert_max_num_queries(2):
        assert find_report(audit, "judgments", Policy.LENIENT) == report
    (path,) = kept(audit)
    path.write_text('{"kept": true}')
    assert find_report(audit, "judgments", Policy.LENIENT) == {"kept": True}


def test_every_new_word_of_people_changes_the_report(audit):
    sample = audit.sample
    assert report_of(audit)["judged"] == 0
    one, two = judge(sample, {0: "wrong_label", 1: "wrong_label"})
    assert report_of(audit)["errors"] == 2
    revise(one, "label_correct")
    assert report_of(audit)["errors"] == 1
    withdraw(two.annotator, two, one.idempotency_key.__class__(int=7))
    assert report_of(audit)["judged"] == 1
    adjudicator = make_member(audit.dataset.project, Role.MAINTAINER)
    row = sample.items.get(item__position=0)
    adjudicate(adjudicator, row, Ruling(Verdict.WRONG_LABEL, "seen at full size", 2), look(row))
    assert report_of(audit)["errors"] == 1
    assert len(kept(audit)) == 5


def test_each_policy_and_each_truth_has_a_report_of_its_own(audit):
    judge(audit.sample, {0: "sub_class", 1: "wrong_label"})
    source = VoteSource.objects.create(dataset=audit.dataset, name="planted", n_votes=0)
    item, other = audit.dataset.items.all()[:2]
    Vote.objects.create(source=source, item=item, annotator="a", labels=[2])
    assert report_of(audit)["errors"] == 2
    assert report_of(audit, policy=Policy.STRICT)["errors"] == 1
    assert report_of(audit, "votes:planted")["judged"] == 1
    # As while a judge model is at work: its votes grow, what is written about them lags behind.
    Vote.objects.create(source=source, item=other, annotator="a", labels=[2])
    assert report_of(audit, "votes:planted")["judged"] == 2


def test_a_stored_policy_in_another_version_makes_another_report(audit):
    judge(audit.sample, {0: "sub_class", 1: "wrong_label"})
    own = {"project": audit.dataset.project, "name": "ours"}
    StoredPolicy.objects.create(**own, version=1, definition={})
    assert report_of(audit, policy="ours")["errors"] == 2
    StoredPolicy.objects.create(**own, version=2, definition={"deeds": {"sub_class": "keep"}})
    assert report_of(audit, policy="ours")["errors"] == 1


def test_a_broken_file_is_made_anew_and_old_ones_are_forgotten(audit, monkeypatch):
    monkeypatch.setattr(report_cache, "KEPT", 2)
    report_of(audit)
    kept(audit)[0].write_text('{"cut o')
    report_of(audit)
    for place in range(3):
        judge(audit.sample, {place: "wrong_label"})
        report_of(audit)
    assert len(kept(audit)) == 2


def test_where_nothing_can_be_written_the_report_is_shown_all_the_same(audit, caplog):
    judge(audit.sample, {0: "wrong_label"})
    folder = evidence_folder(audit.pk) / "reports"
    shutil.rmtree(folder)
    folder.write_text("a file where the folder should be")
    report_of(audit)
    assert "could not be kept" in caplog.text
