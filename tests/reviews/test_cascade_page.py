"""The cascade lab: its figures are the library's, its orders are rows that workers make."""

import csv
import json
import re
from datetime import timedelta
from io import StringIO

import numpy as np
import pytest
from django.utils import timezone

from audit.models import Measurement, Role, ScoreSet
from audit.services.measurements import reconcile_measurements
from audit.services.scores import store_scores
from reviews import tasks
from reviews.cascade_halves import Order
from reviews.cascades import describe_cascade, sweep_cascade
from reviews.services import measuring
from reviews.services.measuring import measure, order_cascade
from scoring.cascade import Cascade
from scoring.routing import load_routing_table
from tests.factories import make_dataset, make_member, make_project, make_sample
from tests.reviews.situations import judge, revise
from tests.reviews.test_cascade_command import (
    logits_of,
    make_audit_of,
    make_harder_dataset,
    make_scored_dataset,
    with_third_and_fourth,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit():
    return make_audit_of(make_scored_dataset(), "small", "large")


@pytest.fixture
def maintainer(audit, client):
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    return client


def address(audit, end=""):
    return f"/audits/{audit.pk}/cascade{end}"


def choice(**own):
    said = {"small": "small", "large": "large", "labels": "given", "policy": "lenient"}
    return said | {"calibrator": "temperature", "n_bins": "15", "test_dataset": "", **own}


def measured(audit, *experts, **own):
    small, large = experts or ("small", "large")
    row = order_cascade(audit, Order(small, large, **own), None)
    assert measure(row.pk)
    row.refresh_from_db()
    return row


def text_of(client, path, **query):
    return client.get(path, query).content.decode()


def test_an_order_is_a_row_that_a_worker_makes_and_the_page_leads_to_it(audit, maintainer):
    answer = maintainer.post(address(audit, "/"), choice())
    row = Measurement.objects.get()
    assert answer["Location"] == address(audit, f"/?wait={row.number}")
    assert row.work == "pending"
    waiting = maintainer.get(address(audit, "/list/"), {"wait": row.number})
    assert b"hx-trigger" in waiting.content
    assert b"waiting for a worker" in waiting.content
    assert "HX-Redirect" not in waiting
    assert measure(row.pk)
    assert not measure(row.pk)
    there = maintainer.get(address(audit, "/list/"), {"wait": row.number})
    assert there["HX-Redirect"] == address(audit, "/?number=1")
    assert b"hx-trigger" not in there.content


def act(client, row, what):
    return client.post(f"/measurements/{row.pk}/{what}/", follow=True).content.decode()


def test_a_measurement_is_cancelled_while_it_is_made_and_made_anew_when_resumed(
    audit, maintainer, monkeypatch
):
    row = order_cascade(audit, Order("small", "large"), None)
    honest = measuring.measure_cascade

    def cancel_on_the_way(dataset, order, test_dataset, tell):
        assert "The measurement is cancelled." in act(maintainer, row, "cancel")
        return honest(dataset, order, test_dataset, tell)

    monkeypatch.setattr(measuring, "measure_cascade", cancel_on_the_way)
    assert not measure(row.pk)
    row.refresh_from_db()
    assert (row.work, row.document, row.n_steps) == ("cancelled", {}, 0)
    assert Measurement.objects.pending().count() == 0  # so that no worker is woken up for it
    assert "nothing to cancel" in act(maintainer, row, "cancel")
    text = text_of(maintainer, address(audit, "/list/"))
    assert "Cancelled." in text
    assert "hx-trigger" not in text
    monkeypatch.setattr(measuring, "measure_cascade", honest)
    text = act(maintainer, row, "resume")
    assert "waiting for a worker" in text
    assert measure(row.pk)
    row.refresh_from_db()
    assert row.document["apgr"]["CC"]["estimate"] > 0.5
    assert "nothing to resume" in act(maintainer, row, "resume")


def test_the_time_left_follows_from_the_steps_done_so_far(audit, maintainer):
    row = order_cascade(audit, Order("small", "large"), None)
    Measurement.objects.update(
        work="running", n_done=2, n_steps=8, claimed_at=timezone.now() - timedelta(seconds=40)
    )
    text = text_of(maintainer, address(audit, "/list/"))
    assert "2 of 8 steps" in text
    assert re.search(r"about (2 min|1 min 59 s|2 min 1 s) left", text)
    row.refresh_from_db()
    assert row.eta_seconds == pytest.approx(120, abs=5)
    Measurement.objects.update(n_done=0)
    assert " left" not in text_of(maintainer, address(audit, "/list/"))


def test_the_pages_figures_are_the_librarys(audit, maintainer):
    row = measured(audit)
    expected = describe_cascade(audit.dataset, Order("small", "large"))
    document = maintainer.get(address(audit, ".json")).json()
    assert document.pop("sweep") == sweep_cascade(audit.dataset, Order("small", "large"))
    assert document == json.loads(json.dumps(expected))
    text = text_of(maintainer, address(audit, "/"))
    assert f"{expected['best']['accuracy']:.4f}".removeprefix("0") in text
    assert f"{expected['apgr']['CC']['estimate']:.4f}".removeprefix("0") in text
    rows = list(csv.DictReader(StringIO(text_of(maintainer, address(audit, ".csv")))))
    points = [each for each in rows if each["router"] == "CC"]
    assert [float(each["accuracy"]) for each in points] == pytest.approx(
        [point["accuracy"] for point in expected["curves"]["CC"]]
    )
    assert (row.n_done, row.n_steps) == (8, 8)


def test_the_routing_table_routes_new_logits_as_the_cascade_does(audit, maintainer, tmp_path):
    row = measured(audit)
    path = tmp_path / "table.json"
    path.write_bytes(maintainer.get(address(audit, "/table.json")).content)
    table, stored = load_routing_table(path), Cascade.from_json(row.document["cascade"])
    assert (table.small, table.large, table.cascade) == ("small", "large", stored)
    logits = logits_of(audit.dataset, "small").astype(np.float64)
    shifted = np.exp(logits / stored.small_calibrator.temperature)
    confidence = (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
    # At an edge the last bit of a confidence decides.
    apart = np.abs(confidence[:, None] - stored.edges).min(axis=1) > 1e-6
    np.testing.assert_array_equal(table.keeps(logits)[apart], stored.route(confidence)[apart])
    assert apart.sum() > 300
    assert 0 < table.keeps(logits).mean() < 1
    point = row.document["curves"]["CC"][stored.k]
    assert table.about["measured"]["accuracy"] == point["accuracy"]
    other = maintainer.get(address(audit, "/table.json"), {"k": 2}).json()
    assert (other["k"], other["measured"]["k_chosen_on_fitting_half"]) == (2, stored.k)
    assert other["measured"]["small_ratio"] == row.document["curves"]["CC"][2]["small_ratio"]
    for wrong in ("99", "-1", "x"):
        assert maintainer.get(address(audit, "/table.json"), {"k": wrong}).status_code == 404


def test_strangers_and_annotators_see_no_cascades(audit, client):
    measured(audit)
    ends = ("/", "/list/", ".json", ".csv", "/table.json")
    annotator = make_member(audit.dataset.project, Role.ANNOTATOR)
    for user in (annotator, make_member(make_project(), Role.ADMIN)):
        client.force_login(user)
        assert {client.get(address(audit, end)).status_code for end in ends} == {404}
        assert client.post(address(audit, "/"), choice()).status_code == 404
    assert Measurement.objects.count() == 1


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"large": "small"}, "must differ"),
        ({"small": "huge"}, "Select a valid choice"),
        ({"n_bins": "0"}, "greater than or equal to 1"),
        ({"n_bins": "many"}, "whole number"),
        ({"labels": "votes:nobody"}, "Select a valid choice"),
        ({"calibrator": "magic"}, "Select a valid choice"),
        ({"test_dataset": "nowhere"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_ordered_is_refused_in_words(audit, maintainer, own, said):
    answer = maintainer.post(address(audit, "/"), choice(**own))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Measurement.objects.exists()


def test_a_data_set_with_one_expert_says_what_is_missing(client):
    dataset = make_dataset(n_items=40)
    logits = [np.eye(3, dtype=np.float32)[np.arange(40) % 3]]
    store_scores(dataset, "alone", logits, source=ScoreSet.Source.IMPORTED)
    audit = make_audit_of(dataset, "alone")
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    text = text_of(client, address(audit, "/"))
    assert "needs two scored experts" in text
    assert "alone" in text
    assert client.get(address(audit, ".csv")).status_code == 404


def test_before_anything_is_measured_the_page_says_so(audit, maintainer):
    text = text_of(maintainer, address(audit, "/"))
    assert "Nothing measured yet" in text
    assert "labels cleaned" not in text  # nobody judged, nothing is released
    missing = text_of(maintainer, address(audit, "/"), number="7")
    assert "no finished measurement of that number" in missing


def test_models_alike_have_a_page_without_a_gap(audit, maintainer):
    logits = [logits_of(audit.dataset, "small") * 2]
    store_scores(audit.dataset, "twin", logits, source=ScoreSet.Source.IMPORTED)
    measured(audit, "small", "twin")
    text = text_of(maintainer, address(audit, "/"))
    assert "<strong>Undefined:</strong> within noise" in text
    assert "nothing to recover" in text


def test_an_expert_that_cannot_be_calibrated_fails_the_measurement_with_the_reason(
    audit, maintainer
):
    perfect = [np.eye(3, dtype=np.float32)[np.arange(400) % 3] * 9]
    store_scores(audit.dataset, "perfect", perfect, source=ScoreSet.Source.IMPORTED)
    row = order_cascade(audit, Order("small", "perfect"), None)
    assert not measure(row.pk)
    assert "perfect can&#x27;t be calibrated by temperature (separable" in text_of(
        maintainer, address(audit, "/")
    )
    assert measured(audit, "small", "perfect", calibrator="none").is_ready


def test_other_inputs_of_the_same_classes_can_be_chosen_where_both_experts_scored_them(
    audit, maintainer
):
    harder = make_harder_dataset()
    person = make_member(audit.dataset.project, Role.MAINTAINER, "both")
    maintainer.force_login(person)
    assert harder.slug not in text_of(maintainer, address(audit, "/"))
    harder.project.memberships.create(user=person, role=Role.MAINTAINER)
    assert f"all of {harder.slug}" in text_of(maintainer, address(audit, "/"))
    maintainer.post(address(audit, "/"), choice(test_dataset=harder.slug))
    row = Measurement.objects.get()
    assert measure(row.pk)
    row.refresh_from_db()
    expected = describe_cascade(audit.dataset, Order("small", "large"), harder)
    assert row.document["apgr"] == expected["apgr"]
    assert f"of <bdi>{harder.slug}</bdi>" in text_of(maintainer, address(audit, "/"))
    both = choice(test_dataset=harder.slug, labels=f"cleaned:{audit.pk}")
    assert maintainer.post(address(audit, "/"), both).status_code == 422


def test_cleaned_labels_stand_beside_the_given_ones_with_a_warning_of_own_flags(audit, maintainer):
    judgments = judge(
        make_sample(audit, 60), {place: ("wrong_label", (place + 1) % 3) for place in range(60)}
    )
    answer = maintainer.post(address(audit, "/"), choice(labels=f"cleaned:{audit.pk}"))
    assert answer.status_code == 302
    row = Measurement.objects.get()
    # What people say after the order doesn't count, however late a worker comes.
    for judgment in judgments[:30]:
        revise(judgment, "label_correct")
    assert measure(row.pk)
    text = text_of(maintainer, address(audit, "/"))
    assert "large flagged items for these cleaned labels" in text
    assert "The same items by given labels" in text
    assert "60 items judged, 60 labels changed, by the lenient policy" in text
    row.refresh_from_db()
    change = row.document["original"]["change"]["small"]
    assert f"{change['estimate']:.4f}".replace("0.", ".", 1) in text


def test_an_expert_that_took_no_part_in_cleaning_is_not_warned_of(maintainer, audit):
    dataset = with_third_and_fourth(audit.dataset)
    cleaning = make_audit_of(dataset, "third", "fourth")
    judge(make_sample(cleaning, 3), {0: ("wrong_label", 1)})
    row = measured(audit, labels=f"cleaned:{cleaning.pk}")
    assert row.document["warnings"] == []


def test_the_same_order_twice_is_one_measurement_while_it_is_under_way(audit):
    order = Order("small", "large")
    first, again = (order_cascade(audit, order, None) for _ in range(2))
    assert first == again
    assert measure(first.pk)
    assert order_cascade(audit, order, None).number == 2


def test_a_dead_workers_measurement_goes_to_another_one_and_is_announced_once(audit, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.measure, "delay", sent.append)
    row = order_cascade(audit, Order("small", "large"), None)
    assert (tasks.announce_measurements(), tasks.announce_measurements()) == (1, 0)
    Measurement.objects.update(work="running", epoch=1, claimed_at="2020-01-01T00:00Z")
    assert (reconcile_measurements(), reconcile_measurements()) == (1, 0)
    assert tasks.announce_measurements() == 1
    assert sent == [row.pk] * 2
    tasks.measure(row.pk)
    assert Measurement.objects.get().is_ready
