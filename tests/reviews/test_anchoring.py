"""The two arms: what label and experts do to verdicts, and what the curves leave out."""

from __future__ import annotations

import pytest

from audit.models import Role
from reviews.anchoring import describe_first_sight
from reviews.models import Mode, Policy, Stage
from reviews.reports import curves
from reviews.services.sampling import freeze_sample
from scoring.intervals import mover_difference, wilson
from tests.factories import make_member
from tests.reviews.situations import judge, make_mixed_audit, revise

pytestmark = pytest.mark.django_db
WRONG, CORRECT = "wrong_label", "label_correct"


@pytest.fixture
def sample():
    return freeze_sample(make_mixed_audit(), size=50, unflagged=70, votes_per_item=3)


def judge_in_both_arms(sample) -> None:
    blind = {place: WRONG if place < 8 else CORRECT for place in range(10)}
    revealed = {place: WRONG if place < 2 else CORRECT for place in range(10)}
    judge(sample, blind, mode=Mode.FULL, stage=Stage.BLIND)
    judge(sample, {**revealed, 10: "unsure"}, mode=Mode.FULL, stage=Stage.REVEALED)


def test_the_difference_of_the_arms_has_newcombes_interval(sample):
    judge_in_both_arms(sample)
    found = describe_first_sight(sample.audit, Policy.LENIENT)
    assert (found["blind"]["judged"], found["blind"]["errors"]) == (10, 8)
    assert (found["revealed"]["judged"], found["revealed"]["errors"]) == (10, 2)
    expected = mover_difference(wilson(2, 10), wilson(8, 10))
    difference = found["revealed_minus_blind"]
    assert difference["estimate"] == pytest.approx(-0.6)
    assert (difference["low"], difference["high"]) == (expected.low, expected.high)
    assert difference["high"] < 0  # ten against two of ten is no accident


def test_without_a_verdict_in_both_arms_there_is_no_difference(sample):
    judge(sample, {0: WRONG}, mode=Mode.FULL, stage=Stage.BLIND)
    judge(sample, {1: WRONG, 2: CORRECT})  # at the quick desk
    found = describe_first_sight(sample.audit, Policy.LENIENT)
    assert (found["quick"], found["revealed"]["judged"]) == (2, 0)
    assert found["revealed_minus_blind"] is None


def test_the_policy_decides_what_an_error_is_in_both_arms(sample):
    judge(sample, {0: "sub_class", 1: WRONG}, mode=Mode.FULL, stage=Stage.BLIND)
    judge(sample, {0: "sub_class", 1: CORRECT}, mode=Mode.FULL, stage=Stage.REVEALED)
    strict = describe_first_sight(sample.audit, Policy.STRICT)
    assert (strict["blind"]["errors"], strict["revealed"]["errors"]) == (1, 0)
    lenient = describe_first_sight(sample.audit, Policy.LENIENT)
    assert (lenient["blind"]["errors"], lenient["revealed"]["errors"]) == (2, 1)


def test_curves_count_the_blind_verdict_and_neither_the_arm_nor_a_change_of_mind(sample):
    (first,) = judge(sample, {0: WRONG}, mode=Mode.FULL, stage=Stage.BLIND)
    judge(sample, {1: WRONG}, mode=Mode.FULL, stage=Stage.REVEALED)
    before = curves(sample.audit, "judgments", Policy.LENIENT)
    assert (before["judged"], before["errors"]) == (1, 1)
    revise(first, CORRECT, stage=Stage.AFTER)
    after = curves(sample.audit, "judgments", Policy.LENIENT)
    assert (after["judged"], after["errors"]) == (1, 1)
    assert after["first_sight"]["blind"]["errors"] == 1


def test_the_curves_page_reports_the_difference_to_admins(sample, client):
    judge_in_both_arms(sample)
    client.force_login(make_member(sample.audit.dataset.project, Role.ADMIN))
    text = client.get(f"/audits/{sample.audit_id}/curves/").content.decode()
    words = " ".join(text.split())
    assert "Seeing label and experts first changes the share by <strong>-.60</strong>" in words
    assert "The revealed arm is left out of the curves" in words
