"""Calibrators side by side, drift between halves, classes by their gap: the library's figures."""

import csv
from io import StringIO

import numpy as np
import pytest
from django.urls import reverse

from audit.evidence import Evidence, write_evidence
from audit.models import Measurement, Role, ScoreSet
from audit.score_store import open_scores
from audit.services.calibration import describe_calibration
from audit.services.calibrators import COMPARED
from audit.services.scores import store_scores
from reviews.services.measuring import measure
from scoring.calibration_drift import temperature_drift
from scoring.class_calibration import class_gaps
from scoring.expert_calibration import calibrate_expert
from scoring.splits import in_half_a
from tests.factories import make_dataset, make_member, make_ready_audit
from tests.reviews.test_cascade_command import N_ITEMS, make_audit_of, make_scored_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    audit = make_audit_of(make_scored_dataset(), "small", "large")
    half_a = in_half_a(keys_of(audit), audit.seed)
    for expert in audit.experts.all():
        logits = np.array(open_scores(expert.score_set_id)[0:N_ITEMS])
        found = calibrate_expert(logits, np.arange(N_ITEMS) % 3, half_a, keys=keys_of(audit))
        expert.calibration = describe_calibration(audit, found)
        expert.save()
    return audit


@pytest.fixture
def maintainer(audit, client):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


def keys_of(audit):
    return list(audit.dataset.items.order_by("position").values_list("key", flat=True))


def open_page(client, audit, name="calibration", **query):
    return client.get(reverse(f"audit:{name}", args=[audit.pk]), query)


def order_and_measure(client, audit):
    client.post(reverse("audit:measure_calibrators", args=[audit.pk]))
    row = Measurement.objects.get()
    waiting = open_page(client, audit, "calibrators_progress")
    assert b"waiting for a worker" in waiting.content
    assert "HX-Refresh" not in waiting
    assert measure(row.pk)
    assert open_page(client, audit, "calibrators_progress")["HX-Refresh"] == "true"
    row.refresh_from_db()
    return row


def test_every_calibrators_figures_are_the_librarys(audit, maintainer):
    row = order_and_measure(maintainer, audit)
    half_a, given = in_half_a(keys_of(audit), audit.seed), np.arange(N_ITEMS) % 3
    context = open_page(maintainer, audit).context
    for bench, expert, stored in zip(
        context["benches"], audit.experts.all(), row.document["experts"], strict=True
    ):
        logits = np.array(open_scores(expert.score_set_id)[0:N_ITEMS])
        assert [each.name for each in bench.rows] == list(COMPARED)
        for each in bench.rows:
            found = calibrate_expert(
                logits, given, half_a, calibrator=each.name, n_bins=15, keys=keys_of(audit)
            )
            ece, nll, brier = each.figures
            assert (ece.before, ece.after) == (found.ece["b_before"], found.ece["b_after"])
            assert (nll.after, brier.after) == (found.nll["b_after"], found.brier["b_after"])
            limits = found.nll_interval["b_after"]
            assert nll.limits == {"low": limits.low, "high": limits.high}
            assert limits.low < nll.after < limits.high
        temperatures = [
            stored["calibrators"]["temperature"]["parameters"][half]["temperature"] for half in "ab"
        ]
        drift = temperature_drift(logits, given, half_a, tuple(temperatures))
        assert bench.drift["p_value"] == drift.p_value
        assert bench.drift["a"]["low"] == drift.a.low
        assert sum(figure.is_best for each in bench.rows for figure in each.figures) >= 3


def test_the_audits_own_calibrator_has_the_same_figures_on_the_bench(audit, maintainer):
    row = order_and_measure(maintainer, audit)
    for expert, stored in zip(audit.experts.all(), row.document["experts"], strict=True):
        own = {key: expert.calibration[key] for key in ("ece", "nll", "brier", "parameters")}
        assert own == {key: stored["calibrators"]["temperature"][key] for key in own}


def test_a_calibrator_that_cannot_be_fitted_says_why_and_has_no_drift(client):
    dataset = make_dataset(n_items=80)
    perfect = [np.eye(3, dtype=np.float32)[np.arange(80) % 3] * 9]
    for name in ("one", "two"):
        store_scores(dataset, name, perfect, source=ScoreSet.Source.IMPORTED)
    audit = make_audit_of(dataset, "one", "two")
    audit.experts.update(calibration={"calibrator": "temperature"})
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    order_and_measure(client, audit)
    text = open_page(client, audit).content.decode()
    assert "Not fitted: separable" in text
    assert "No drift to test" in text


def test_before_anything_is_fitted_the_bench_offers_to(audit, maintainer):
    text = open_page(maintainer, audit).content.decode()
    assert "Fit all calibrators" in text
    assert 'data-chart="bench"' not in text


def make_classes_audit(n_items=300):
    """An expert that is surer of class 2 than it should be, and right about the others."""
    audit = make_ready_audit(make_dataset(n_items=n_items), n_flags=0)
    rng = np.random.default_rng(0)
    given = np.arange(n_items) % 3
    top1 = np.where((given == 2) & (rng.random(n_items) < 0.5), 1, given)
    top1[:5] = -1
    confidence = np.where(given == 2, 0.95, 0.8).astype(np.float32)
    both = [np.stack([each, each]) for each in (top1.astype(np.int32), confidence)]
    write_evidence(audit.pk, Evidence(both[0], both[1], both[1], both[1]))
    return audit, given, top1, confidence


@pytest.mark.parametrize("by", ["answer", "given"])
def test_classes_come_worst_first_with_the_librarys_gaps(client, by):
    audit, given, top1, confidence = make_classes_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    page = open_page(client, audit, "class_calibration", by=by)
    scored = top1 >= 0
    groups = (given if by == "given" else top1)[scored]
    expected = class_gaps(groups, confidence[scored], (top1 == given)[scored])
    rows = list(page.context["page"])
    assert [row.index for row in rows] == np.argsort(
        -np.abs(expected.sure_gap), kind="stable"
    ).tolist()
    assert {row.index: row.gap for row in rows} == pytest.approx(
        dict(zip(expected.index.tolist(), expected.gap.tolist(), strict=True))
    )
    assert sum(row.count for row in rows) == scored.sum()
    table = client.get(reverse("audit:class_calibration_csv", args=[audit.pk]), {"by": by})
    lines = list(csv.DictReader(StringIO(table.content.decode())))
    assert [float(line["gap"]) for line in lines] == pytest.approx([row.gap for row in rows])


def test_filters_leave_what_was_asked_for(client):
    audit, *_ = make_classes_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))

    def shown(**query):
        return [
            row.name
            for row in open_page(client, audit, "class_calibration", **query).context["page"]
        ]

    assert shown(by="given", side="over") == ["class 2"]
    assert sorted(shown(by="given", side="under")) == ["class 0", "class 1"]
    assert shown(q="CLASS 1") == ["class 1"]
    assert shown(by="answer", least="120") == ["class 1"]
    assert shown(q="nobody") == []
    text = open_page(client, audit, "class_calibration", q="nobody").content.decode()
    assert "No class is like that" in text
    wrong = open_page(client, audit, "class_calibration", expert="9").content.decode()
    assert "Select a valid choice" in wrong


def test_an_audit_that_is_not_ready_has_no_classes_and_fits_nothing(client):
    audit, *_ = make_classes_audit()
    audit.state = audit.State.SCORING
    audit.save()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    assert (
        "Nothing calibrated yet" in open_page(client, audit, "class_calibration").content.decode()
    )
    assert open_page(client, audit, "class_calibration_csv").status_code == 404
    assert client.post(reverse("audit:measure_calibrators", args=[audit.pk])).status_code == 404
