"""A judge model's word corrected by people's verdicts, beside what each says alone."""

from __future__ import annotations

import csv
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from audit.models import Audit, Role
from reviews.models import Vote, VoteSource
from reviews.reports import curves
from reviews.services.sampling import freeze_sample
from scoring.arrays import Mask
from tests.factories import make_member, make_ready_audit
from tests.reviews.situations import judge, judge_truthfully, make_wide_audit, planted_errors

pytestmark = pytest.mark.django_db


def add_judge(
    audit: Audit, calls_error: Mask, where: Mask | None = None, unsure: tuple[int, ...] = ()
) -> VoteSource:
    """A judge that names another class than the given one where it calls a label an error."""
    source = VoteSource.objects.create(
        dataset=audit.dataset,
        name="judge-model",
        kind=VoteSource.Kind.JUDGE,
        parameters={"endpoint": "model", "model": "a/model", "prompt": "answer-1"},
    )
    n_classes = audit.dataset.n_classes
    Vote.objects.bulk_create(
        Vote(
            source=source,
            item=item,
            annotator="a/model",
            labels=None
            if item.position in unsure
            else [(item.given_label + int(calls_error[item.position])) % n_classes],
            verdict="unsure" if item.position in unsure else "",
        )
        for item in audit.dataset.items.all()
        if where is None or where[item.position]
    )
    return source


def noisy(errors: Mask, mistakes: float) -> Mask:
    wrong = np.random.default_rng(7).random(errors.size) < mistakes
    return np.where(wrong, ~errors, errors)


def test_a_census_of_people_overrules_the_judge_by_hand():
    audit = make_ready_audit()
    errors = {0, 1, 2, 4, 7}
    sample = freeze_sample(audit, size=6, unflagged=6)
    judge(sample, {p: "wrong_label" if p in errors else "label_correct" for p in range(12)})
    add_judge(audit, np.arange(12) < 6, unsure=(5,))
    report = curves(audit, "judge:model", "lenient", ["calibrated_ensemble"])
    assert (report["judge"]["items"], report["judge"]["unsure"]) == (12, 1)
    point = report["methods"]["calibrated_ensemble"]["points"][-1]
    assert (point["judged"], point["errors"]) == (6, 4)
    assert point["precision"]["estimate"] == pytest.approx(4 / 6)
    assert point["precision"]["judge_only"] == pytest.approx(5.5 / 6)  # unsure counts as half
    assert point["detection_rate"]["estimate"] == pytest.approx(4 / 5)
    assert point["detection_rate"]["judge_only"] == pytest.approx(1.0)
    assert "band" not in point


def test_the_corrected_figures_are_near_the_truth_and_narrower_than_peoples_alone():
    audit = make_wide_audit()
    errors = planted_errors(audit.dataset.n_items)
    judge_truthfully(freeze_sample(audit, size=200, unflagged=200))
    add_judge(audit, noisy(errors, 0.08))
    report = curves(audit, "judge:judge-model", "lenient", ["calibrated_ensemble"])
    flagged = dict(
        audit.flags.of_method("calibrated_ensemble").values_list("item__position", "rank")
    )
    point = report["methods"]["calibrated_ensemble"]["points"][-1]
    members = np.isin(np.arange(errors.size), list(flagged))
    for name, truth in (
        ("precision", errors[members].mean()),
        ("detection_rate", errors[members].sum() / errors.sum()),
    ):
        rate = point[name]
        assert rate["low"] <= truth <= rate["high"], name
        people = rate["people_only"]
        assert rate["high"] - rate["low"] < people["high"] - people["low"]
    assert abs(point["precision"]["judge_only"] - errors[members].mean()) > 0.02
    assert 0 < point["precision"]["power"] <= 1


def test_a_judge_that_was_not_asked_about_every_item_corrects_only_what_it_covers():
    audit = make_wide_audit(n_items=1500)
    errors = planted_errors(1500)
    judge_truthfully(freeze_sample(audit, size=60, unflagged=60))
    places = audit.flags.of_method("calibrated_ensemble").values_list("item__position", flat=True)
    covered = np.isin(np.arange(1500), list(places))
    add_judge(audit, errors, where=covered)
    report = curves(audit, "judge:model", "lenient", ["calibrated_ensemble", "basic:stub:10-0"])
    inside = report["methods"]["calibrated_ensemble"]["points"][-1]
    outside = report["methods"]["basic:stub:10-0"]["points"][-1]
    assert inside["precision"]["estimate"] is not None
    assert inside["detection_rate"]["estimate"] is None
    assert outside["precision"]["estimate"] is outside["precision"]["judge_only"] is None
    assert outside["precision"]["people_only"]["estimate"] is not None


def test_without_people_the_judge_stands_alone():
    audit = make_ready_audit()
    add_judge(audit, np.arange(12) < 3)
    point = curves(audit, "judge:model", "lenient")["methods"]["calibrated_ensemble"]["points"][-1]
    assert point["precision"]["judge_only"] == pytest.approx(3 / 6)
    assert point["detection_rate"]["judge_only"] == pytest.approx(1.0)
    assert point["precision"]["estimate"] is point["detection_rate"]["estimate"] is None


def test_the_report_and_the_page_show_all_three_side_by_side(client):
    audit = make_ready_audit()
    judge(freeze_sample(audit, size=6, unflagged=6), dict.fromkeys(range(6), "wrong_label"))
    add_judge(audit, np.arange(12) < 3)
    out = StringIO()
    call_command("report", str(audit.pk), "--truth", "judge:model", stdout=out)
    assert "judge-model (a/model, prompt answer-1) has a word on 12 items" in out.getvalue()
    assert "(.500, 1.000)" in out.getvalue()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    page = client.get(f"/audits/{audit.pk}/curves/", {"truth": "judge:model"}).content.decode()
    assert "people and judge-model" in page
    points = f"/audits/{audit.pk}/curves/points/"
    assert "judge, people alone" in client.get(points, {"truth": "judge:model"}).content.decode()
    assert "95 % band" not in page
    table = client.get(f"/audits/{audit.pk}/curves.csv", {"truth": "judge:model"}).content.decode()
    row = list(csv.DictReader(StringIO(table)))[-1]
    assert (row["precision_judge_only"], row["precision_people_only"]) == ("0.5", "1.0")
    plain = client.get(f"/audits/{audit.pk}/curves/").content.decode()
    assert "judge, people alone" not in plain


def test_votes_of_a_file_are_no_judge():
    audit = make_ready_audit()
    add_judge(audit, np.arange(12) < 3).delete()
    VoteSource.objects.create(dataset=audit.dataset, name="public")
    with pytest.raises(CommandError, match="there are: none"):
        call_command("report", str(audit.pk), "--truth", "judge:public", stdout=StringIO())
