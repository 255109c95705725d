"""The calibration page: pictures, figures before and after, and why nothing was fitted."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from django.urls import reverse

from audit.models import Audit, Role
from audit.services.calibration import describe_calibration
from audit.views.calibration import picture_expert
from scoring.expert_calibration import calibrate_expert
from tests.factories import make_dataset, make_member, make_ready_audit

pytestmark = pytest.mark.django_db
N_ITEMS, N_CLASSES = 400, 4


def make_calibrated_audit(n_items=N_ITEMS, temperature=2.5):
    """A ready audit whose experts are overconfident by a known temperature."""
    audit = make_ready_audit(make_dataset(n_classes=N_CLASSES))
    for expert in audit.experts.all():
        rng = np.random.default_rng(expert.order)
        labels = rng.integers(0, N_CLASSES, n_items)
        logits = rng.normal(size=(n_items, N_CLASSES))
        logits[np.arange(n_items), labels] += 1.5
        half_a = np.arange(n_items) % 2 == 0
        calibration = calibrate_expert(logits * temperature, labels, half_a, n_bins=5)
        expert.calibration = describe_calibration(audit, calibration)
        expert.save()
    return audit


def open_page(client, audit):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client.get(reverse("audit:calibration", args=[audit.pk]))


def test_every_expert_has_its_figures_before_and_after(client):
    audit = make_calibrated_audit()
    answer = open_page(client, audit)
    for expert, picture in zip(audit.experts.all(), answer.context["pictures"], strict=True):
        stored = expert.calibration
        half_a, half_b = picture.halves
        assert half_a.ece_before == stored["ece"]["a_before"]
        assert half_b.nll_after == stored["nll"]["b_after"]
        assert half_a.fitted == f"temperature {stored['parameters']['a']['temperature']:.3f}"
        assert half_a.brier_after == stored["brier"]["a_after"]
        assert half_b.ece_after < half_b.ece_before
        assert picture.degenerate == ""
        # Two halves, two moments, five bins.
        assert len(picture.rows) == 20


def test_the_gap_is_confidence_minus_accuracy():
    audit = make_calibrated_audit()
    row = picture_expert(audit.experts.first()).rows[0]
    assert row.gap == pytest.approx(row.confidence - row.accuracy)


def test_the_charts_read_the_stored_tables(client):
    audit = make_calibrated_audit()
    page = open_page(client, audit).content.decode()
    written = re.search(r'<script id="calibration-0" type="application/json">(.*?)</script>', page)
    stored = audit.experts.first().calibration
    assert json.loads(written[1]) == {
        "reliability": stored["reliability"],
        "histogram": stored["histogram"],
    }
    assert page.count('data-chart="reliability"') == 4
    assert page.count('data-chart="histogram"') == 2


def test_the_papers_figures_stand_beside_ours(client):
    page = open_page(client, make_calibrated_audit()).content.decode()
    assert ".2617 → .0271" in page
    assert ".1902 → .0913" in page


def test_a_degenerate_fit_is_explained_in_plain_words(client):
    audit = make_calibrated_audit(n_items=40)
    answer = open_page(client, audit)
    picture = answer.context["pictures"][0]
    assert picture.degenerate == (
        "A half has too few scored items to fit a temperature "
        "(half A: 20 items, at least 30 are needed)."
    )
    assert all(half.ece_after is None and half.fitted == "" for half in picture.halves)
    assert "Not calibrated." in answer.content.decode()


def test_raw_confidences_are_called_raw(client):
    audit = make_calibrated_audit()
    for expert in audit.experts.all():
        expert.calibration |= {"calibrator": "none", "parameters": {}}
        expert.save()
    assert "raw confidences" in open_page(client, audit).content.decode()


@pytest.mark.parametrize(
    ("state", "words"), [("scoring", "still being scored"), ("failed", "stopped before")]
)
def test_before_calibration_the_page_says_what_it_waits_for(client, state, words):
    audit = Audit.objects.create(dataset=make_dataset(), state=state)
    assert words in open_page(client, audit).content.decode()


def test_the_number_of_queries_does_not_grow_with_the_experts(
    client, django_assert_max_num_queries
):
    audit = make_calibrated_audit()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    with django_assert_max_num_queries(6):  # session, user, audit, experts, role
        client.get(reverse("audit:calibration", args=[audit.pk]))
