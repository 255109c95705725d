"""Data sets and experts that no audit can do with as it should: refused or said, never faked."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from audit.kept_files import kept_folder
from audit.models import Audit, AuditExpert, Dataset, Flag, Role, ScoreSet, UnscorableItem
from audit.models.audits import MAX_TEMPERATURE, MIN_TEMPERATURE
from audit.services import chunks
from audit.services.audits import start_audit
from audit.services.calibration import calibrate_audit
from audit.services.scores import request_scores, store_scores
from reviews.models import Judgment
from reviews.reports import curves
from scoring import temperature
from scoring.calibration import TemperatureScaler
from scoring.experts.registry import load_expert
from tests.factories import make_dataset, make_member, make_ready_audit, make_sample
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db
EXPERTS = ["first", "second"]


def labels_of(dataset: Dataset) -> np.ndarray:
    return np.array(dataset.items.order_by("position").values_list("given_label", flat=True))


def logits_for(dataset: Dataset, seed: int, right: float = 0.8) -> np.ndarray:
    """Logits of an expert that believes the given label of that share of the items."""
    rng, labels = np.random.default_rng(seed), labels_of(dataset)
    slips = rng.random(len(labels)) >= right
    others = (labels + rng.integers(1, dataset.n_classes, len(labels))) % dataset.n_classes
    logits = rng.normal(size=(len(labels), dataset.n_classes)).astype(np.float32)
    logits[np.arange(len(labels)), np.where(slips, others, labels)] += 6
    return logits


def run_audit(dataset: Dataset, *logits: np.ndarray, **options) -> Audit:
    for name, rows in zip(EXPERTS, logits, strict=True):
        store_scores(dataset, name, [rows], source=ScoreSet.Source.IMPORTED)
    audit = start_audit(dataset, EXPERTS, **options)
    calibrate_audit(audit.pk)
    audit.refresh_from_db()
    return audit


def refusals(audit: Audit) -> set[str]:
    """Return why the audit's experts weren't calibrated."""
    return {each.calibration["degenerate"]["reason"] for each in audit.experts.all()}


def page_of(audit: Audit, name: str = "audit_detail") -> str:
    client = Client()
    client.force_login(make_member(audit.dataset.project, Role.MAINTAINER))
    answer = client.get(reverse(f"audit:{name}", args=[audit.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_b064_of_one_given_class_nothing_is_calibrated_and_the_basic_rule_still_flags():
    dataset = make_dataset(n_items=80, n_classes=3)
    dataset.items.update(given_label=1)
    logits = [logits_for(dataset, seed) for seed in (0, 1)]
    audit = run_audit(dataset, *logits)
    assert audit.is_ready
    assert refusals(audit) == {"single_label"}
    disputed = [int((rows.argmax(axis=1) != 1).sum()) for rows in logits]
    assert [audit.queue_counts[f"basic:{name}"] for name in EXPERTS] == disputed
    assert min(disputed) > 0
    assert not {"calibrated_ensemble", "confident_learning"} & set(audit.queue_counts)
    assert "Not calibrated" in page_of(audit, "calibration")


@pytest.mark.parametrize("n_items", [1, 2, 29])
def test_b067_b117_of_too_few_items_nothing_is_calibrated_and_every_page_opens(n_items):
    dataset = make_dataset(n_items=n_items, n_classes=3)
    audit = run_audit(dataset, logits_for(dataset, 0, right=0.7), logits_for(dataset, 1, right=0.5))
    assert audit.is_ready
    assert refusals(audit) <= {"too_few", "empty_split"}
    assert "calibrated_ensemble" not in audit.queue_counts
    for name in ("audit_detail", "calibration", "queue"):
        page_of(audit, name)


def test_b068_fewer_disputed_items_than_bins_lie_in_one_bin_each():
    dataset = make_dataset(n_items=200, n_classes=3)
    rows = logits_for(dataset, 0, right=1.0)
    slips = np.roll(logits_for(dataset, 1, right=1.0), 1, axis=1)
    both = [np.where(np.arange(200)[:, None] < 7, slips, rows + noise) for noise in (0, 0.1)]
    unsure = np.random.default_rng(2).random((2, 200)) < 0.1  # each has slips of its own, too
    both = [
        np.where((own & (np.arange(200) % 2 == place))[:, None], slips, each)
        for place, (own, each) in enumerate(zip(unsure, both, strict=True))
    ]
    audit = run_audit(dataset, *both, n_bins=15)
    assert audit.n_disputed == 7
    assert audit.queue_counts["calibrated_ensemble"] == [1, 2, 3, 4, 5, 6, *[7] * 9]


def test_b069_where_nothing_is_disputed_nothing_is_flagged_and_the_audit_is_ready():
    dataset = make_dataset(n_items=80, n_classes=3)
    audit = run_audit(dataset, *(logits_for(dataset, seed, right=1.0) for seed in (0, 1)))
    assert (audit.state, audit.n_disputed, audit.queue_counts["ensemble"]) == ("ready", 0, 0)
    for name in ("audit_detail", "calibration", "queue"):
        page_of(audit, name)


def test_b069_where_everything_is_disputed_nothing_is_flagged_and_the_page_says_why():
    dataset = make_dataset(n_items=80, n_classes=3)
    audit = run_audit(dataset, *(logits_for(dataset, seed, right=0.0) for seed in (0, 1)))
    assert audit.error.startswith("label_map_suspect: every expert disputes all 80 labels")
    assert not Flag.objects.exists()
    assert "label_map_suspect" in page_of(audit)


@pytest.mark.parametrize(
    ("useless", "reason"),
    [
        (np.full((80, 3), np.nan, np.float32), "second: expert_failed: none of 80 items has"),
        (np.full((80, 3), 2.5, np.float32), "second: no_signal: all 3 classes have the same score"),
    ],
    ids=["B103", "B104"],
)
def test_b103_b104_an_expert_that_says_nothing_fails_the_audit_by_name(useless, reason):
    """An audit with it would be called ready and flag what the class that comes first decides."""
    dataset = make_dataset(n_items=80, n_classes=3)
    audit = run_audit(dataset, logits_for(dataset, 0), useless)
    assert audit.state == Audit.State.FAILED
    assert audit.error.startswith(reason)
    assert not Flag.objects.exists()
    assert reason in page_of(audit)


class OneBrokenRow:
    """A real expert but for the answer about one picture, in which a number overflowed."""

    def __init__(self, broken: float) -> None:
        self._expert = load_expert("stub:3-1")
        self._broken = broken
        self.card, self.takes = self._expert.card, self._expert.takes

    def predict(self, inputs):
        logits = self._expert.predict(inputs).copy()
        logits[5, 1] = self._broken
        return logits


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_b101_b102_an_answer_that_is_not_finite_sets_its_item_aside_and_no_other(
    monkeypatch, broken
):
    expert = OneBrokenRow(broken)
    monkeypatch.setattr(chunks, "loaded_expert", lambda _name: expert)
    dataset = make_dataset(n_items=90, n_classes=3)
    score_set = request_scores(dataset, "stub:3-1")
    for chunk in score_set.chunks.all():
        assert chunks.score_chunk(chunk.pk)
    aside = UnscorableItem.objects.values_list("item__position", "code")
    assert list(aside) == [(5, "nonfinite")]
    stored = np.asarray(chunks.score_store.open_scores(score_set.pk)[0:90])
    assert np.isnan(stored).all(axis=1).tolist() == [place == 5 for place in range(90)]
    # The answers of a stub have nothing to do with the labels: these are made to.
    kept, labels = np.delete(stored, 5, axis=0), stored.argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % 3
    fitted = TemperatureScaler.fit(stored, labels).temperature
    assert fitted == TemperatureScaler.fit(kept, np.delete(labels, 5)).temperature


@pytest.mark.parametrize(
    ("bins", "said"),
    [
        ("0", "must lie in 1..1000, got 0"),
        ("-3", "must lie in 1..1000, got -3"),
        ("1001", "must lie in 1..1000, got 1001"),
        ("NaN", "invalid int value: 'NaN'"),
        ("15.0", "invalid int value: '15.0'"),
    ],
)
def test_b122_a_number_of_bins_that_is_none_starts_no_audit(bins, said):
    dataset = make_dataset()
    with pytest.raises(CommandError, match=said):
        call_command("audit", dataset.slug, "--experts", "stub:3-1", "stub:3-2", "--bins", bins)
    assert not Audit.objects.exists()
    assert not ScoreSet.objects.exists()


@pytest.mark.parametrize("bins", ["0", "-3", "1001", "NaN", "1e1", "", "²"])
def test_b122_a_number_of_bins_that_is_none_is_refused_by_the_page(bins, client):
    dataset = make_dataset()
    client.force_login(make_member(dataset.project, Role.MAINTAINER))
    answer = client.post(
        reverse("audit:audit_new"),
        {
            "dataset": dataset.pk,
            "other_experts": "stub:3-1 stub:3-2",
            "n_bins": bins,
            "bins_over": "disputed",
            "calibrator": "temperature",
            "seed": 0,
        },
    )
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["n_bins"]
    assert not Audit.objects.exists()


def test_b122_more_bins_than_disputed_items_are_as_many_as_there_are_items():
    dataset = make_dataset(n_items=200, n_classes=3)
    audit = run_audit(dataset, *(logits_for(dataset, seed) for seed in (0, 1)), n_bins=1000)
    sizes = audit.queue_counts["calibrated_ensemble"]
    assert len(sizes) == 1000
    assert sizes[-1] == audit.n_disputed == sizes[audit.n_disputed - 1]
    assert 0 < audit.n_disputed < 200


@pytest.mark.parametrize("half", ["a", "b"])
@pytest.mark.parametrize("stored", ["0", "-1", "20.1", '"NaN"', "null", "NaN", "Infinity", "[1]"])
def test_b123_the_database_refuses_a_temperature_that_can_not_be(half, stored):
    expert = make_ready_audit().experts.first()
    document = f'{{"parameters": {{"{half}": {{"temperature": {stored}}}}}}}'
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_auditexpert SET calibration = %s WHERE id = %s", [document, expert.pk]
        )
    expert.refresh_from_db()
    assert expert.calibration == {}


def test_b123_every_temperature_that_a_fit_can_give_is_stored():
    bounds = (temperature.MIN_TEMPERATURE, temperature.MAX_TEMPERATURE)
    assert bounds == (MIN_TEMPERATURE, MAX_TEMPERATURE)
    expert = make_ready_audit().experts.first()
    for value in (*bounds, 1.5):
        expert.calibration = {"parameters": {half: {"temperature": value} for half in "ab"}}
        expert.save()
    for other in ({}, {"parameters": {}}, {"parameters": {"a": {"slope": -1.0, "intercept": 0.0}}}):
        expert.calibration = other
        expert.save()
    assert AuditExpert.objects.get(pk=expert.pk).calibration == other


def test_b129_what_was_said_of_an_item_stays_when_it_is_set_aside_or_audited_again():
    audit = make_ready_audit()
    sample = make_sample(audit, 4)
    said = {0: ("wrong_label", 1), 1: "label_correct"}
    rows = [judgment.pk for judgment in judge(sample, said)]
    before = curves(audit, "judgments", "lenient")
    audit.dataset.items.filter(position=0).update(quarantine_code="truncated")
    again = Audit.objects.create(dataset=audit.dataset, state=Audit.State.READY)
    for expert in audit.experts.all():
        AuditExpert.objects.create(audit=again, score_set=expert.score_set, order=expert.order)
    make_sample(again, 4)
    kept = Judgment.objects.filter(slot__sample__audit=audit).order_by("pk")
    assert [each.pk for each in kept] == rows
    places = [each.slot.sampled_item.item.position for each in kept]
    assert places == [0, 1]
    # What an audit knew when it was made ready stays, whatever becomes of files that are only kept.
    assert before["judged"] == 2
    assert curves(audit, "judgments", "lenient") == before
    shutil.rmtree(kept_folder(audit.pk))
    after = curves(audit, "judgments", "lenient")
    assert after == before
    assert json.loads(json.dumps(after, allow_nan=False)) == after


def test_b058_as_many_columns_as_classes_or_no_import(tmp_path):
    dataset = make_dataset(n_items=12, n_classes=3)
    np.save(tmp_path / "scores.npy", np.zeros((12, 4), np.float32))
    with pytest.raises(CommandError, match="class_count") as refusal:
        call_command(
            "import_scores", dataset.slug, "other", tmp_path / "scores.npy", stderr=io.StringIO()
        )
    assert "(12, 4)" in str(refusal.value)
    assert not ScoreSet.objects.exists()
