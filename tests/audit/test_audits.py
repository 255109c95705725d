"""An audit goes from scores to frozen queues: same inputs, same hash; nothing half-published."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import IntegrityError

from audit.evidence import load_evidence
from audit.models import Audit, Dataset, Flag, ScoreSet
from audit.services.audits import (
    AuditRefusedError,
    advance_audits,
    cancel_audit,
    resume_audit,
    start_audit,
)
from audit.services.calibration import calibrate_audit
from audit.services.scores import ScoresRefusedError, combine_folds, store_scores
from audit.services.summary import describe_audit
from tests.factories import make_dataset

pytestmark = pytest.mark.django_db
N_ITEMS, N_CLASSES = 400, 4


def logits_of(dataset: Dataset, seed: int, wrong: int = 20) -> np.ndarray:
    """Overconfident logits that follow the given labels but for the first `wrong` items."""
    rng = np.random.default_rng(seed)
    labels = np.array(dataset.items.order_by("position").values_list("given_label", flat=True))
    believed = labels.copy()
    believed[:wrong] = (labels[:wrong] + 1) % dataset.n_classes
    slips = rng.random(len(labels)) < 0.1
    believed[slips] = rng.integers(0, dataset.n_classes, slips.sum())
    logits = rng.normal(size=(len(labels), dataset.n_classes)).astype(np.float32)
    logits[np.arange(len(labels)), believed] += 6
    return logits


def bring_in(dataset: Dataset, name: str, logits: np.ndarray) -> ScoreSet:
    return store_scores(dataset, name, [logits], source=ScoreSet.Source.IMPORTED)


def make_scored_dataset(wrong: int = 20) -> Dataset:
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    bring_in(dataset, "first", logits_of(dataset, 1, wrong))
    bring_in(dataset, "second", logits_of(dataset, 2, wrong))
    return dataset


def finish(audit: Audit) -> Audit:
    assert calibrate_audit(audit.pk)
    audit.refresh_from_db()
    return audit


def test_scores_that_are_there_lead_straight_to_calibration_and_ready():
    audit = start_audit(make_scored_dataset(), ["first", "second"])
    assert audit.state == Audit.State.CALIBRATING
    audit = finish(audit)
    assert audit.state == Audit.State.READY
    counts = audit.queue_counts
    assert counts["calibrated_ensemble"][-1] == counts["ensemble"] == audit.n_disputed
    assert counts["calibrated_ensemble"] == sorted(counts["calibrated_ensemble"])
    assert counts["basic:first"] >= counts["ensemble"]
    assert Flag.objects.of_method("ensemble").count() == counts["ensemble"]
    planted = set(
        Flag.objects.of_method("calibrated_ensemble").values_list("item__position", flat=True)
    )
    assert len(planted & set(range(20))) >= 15


def test_the_queue_of_k_bins_starts_the_queue_of_k_plus_one():
    audit = finish(start_audit(make_scored_dataset(wrong=60), ["first", "second"]))
    flags = list(Flag.objects.of_method("calibrated_ensemble").filter(audit=audit))
    assert [flag.rank for flag in flags] == list(range(1, len(flags) + 1))
    assert [flag.bin_rank for flag in flags] == sorted(flag.bin_rank for flag in flags)
    for k, size in enumerate(audit.queue_counts["calibrated_ensemble"], start=1):
        assert sum(flag.bin_rank <= k for flag in flags) == size


def test_the_same_audit_twice_has_the_same_hash_and_another_seed_another():
    dataset = make_scored_dataset()
    hashes = [
        finish(start_audit(dataset, ["first", "second"], seed=seed)).sha256 for seed in (0, 0, 1)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_evidence_says_per_item_what_each_expert_thought():
    dataset = make_scored_dataset()
    audit = finish(start_audit(dataset, ["first", "second"]))
    evidence = load_evidence(audit.pk)
    assert evidence.top1.shape == (2, N_ITEMS)
    np.testing.assert_array_equal(evidence.top1[0], logits_of(dataset, 1).argmax(axis=1))
    assert ((evidence.confidence > 0) & (evidence.confidence <= 1)).all()


def test_quarantined_items_take_part_in_nothing():
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    dataset.items.filter(position__lt=3).update(quarantine_code="truncated")
    for seed, name in enumerate(["first", "second"]):
        bring_in(dataset, name, logits_of(dataset, seed))
    audit = finish(start_audit(dataset, ["first", "second"]))
    assert audit.experts.get(order=0).calibration["n_scored"] == N_ITEMS - 3
    assert np.flatnonzero(load_evidence(audit.pk).top1[0] < 0).tolist() == [0, 1, 2]
    assert not Flag.objects.filter(item__position__lt=3).exists()


def test_an_expert_that_can_not_be_calibrated_gives_no_calibrated_queue():
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    bring_in(dataset, "first", logits_of(dataset, 1))
    labels = np.arange(N_ITEMS) % N_CLASSES
    bring_in(dataset, "perfect", np.eye(N_CLASSES, dtype=np.float32)[labels] * 9)
    audit = finish(start_audit(dataset, ["first", "perfect"]))
    refusal = audit.experts.get(order=1).calibration["degenerate"]
    assert refusal["reason"]
    assert "calibrated_ensemble" not in audit.queue_counts
    assert "confident_learning" not in audit.queue_counts
    assert describe_audit(audit)["experts"][1]["degenerate"] == refusal["reason"]


@pytest.mark.parametrize(
    ("calibrator", "parameters"),
    [
        ("temperature", {"temperature"}),
        ("platt", {"slope", "intercept"}),
        ("histogram", {"edges", "accuracies"}),
        ("isotonic", {"thresholds", "confidences"}),
        ("none", None),
    ],
)
def test_every_calibrator_gives_queues_and_says_what_it_fitted(calibrator, parameters):
    audit = finish(start_audit(make_scored_dataset(), ["first", "second"], calibrator=calibrator))
    for expert in describe_audit(audit)["experts"]:
        fitted = expert["parameters"]
        assert (set(fitted["a"]) == parameters) if parameters else fitted == {}
        assert expert["brier"]["b_before"] is not None
    assert audit.queue_counts["calibrated_ensemble"][-1] > 0


def test_rankings_of_every_item_stand_beside_the_queues():
    audit = finish(start_audit(make_scored_dataset(), ["first", "second"]))
    counts = audit.queue_counts
    assert counts["self_confidence"] == counts["balanced_odds"] == N_ITEMS
    assert counts["ensemble"] <= counts["calibrated_margin"] < N_ITEMS
    assert set(counts) >= {"confident_learning", "confident_learning_cleanlab"}
    first = Flag.objects.of_method("balanced_odds")[:20].values_list("item__position", flat=True)
    assert len(set(first) & set(range(20))) >= 15


def test_b056_labels_numbered_otherwise_than_the_experts_classes_are_noticed():
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    for seed, name in enumerate(["first", "second"]):
        bring_in(dataset, name, np.roll(logits_of(dataset, seed, wrong=0), 1, axis=1))
    audit = start_audit(dataset, ["first", "second"])
    assert not calibrate_audit(audit.pk)
    audit.refresh_from_db()
    assert audit.state == Audit.State.FAILED
    assert "label_map_suspect" in audit.error
    assert not Flag.objects.exists()


def test_b105_two_names_for_the_same_scores_are_no_two_experts():
    dataset = make_scored_dataset()
    bring_in(dataset, "twin", logits_of(dataset, 1))
    with pytest.raises(AuditRefusedError, match="experts_identical: first and twin"):
        start_audit(dataset, ["first", "twin"])
    # Scores that workers make are known to be the same only once they are there.
    audit = start_audit(dataset, ["first", "second"])
    twin = dataset.score_sets.get(expert="twin")
    audit.experts.filter(score_set__expert="second").update(score_set=twin)
    assert not calibrate_audit(audit.pk)
    audit.refresh_from_db()
    assert audit.state == Audit.State.FAILED
    assert "experts_identical" in audit.error


def test_a_second_calibration_of_the_same_audit_writes_nothing():
    audit = finish(start_audit(make_scored_dataset(), ["first", "second"]))
    n_flags = Flag.objects.count()
    assert not calibrate_audit(audit.pk)
    assert Flag.objects.count() == n_flags


def test_a_worker_that_lost_its_claim_publishes_nothing(monkeypatch):
    audit = start_audit(make_scored_dataset(), ["first", "second"])

    def steal(audit_id, _evidence):
        Audit.objects.filter(pk=audit_id).update(epoch=99)

    monkeypatch.setattr("audit.services.calibration.write_evidence", steal)
    assert not calibrate_audit(audit.pk)
    assert not Flag.objects.exists()


def test_scores_lost_from_the_disk_fail_the_audit_with_a_reason(settings):
    audit = start_audit(make_scored_dataset(), ["first", "second"])
    for path in settings.LABEL_AUDIT_HOME.glob("scores/*/manifest.json"):
        path.unlink()
    assert not calibrate_audit(audit.pk)
    advance_audits()
    audit.refresh_from_db()
    assert audit.state == Audit.State.FAILED
    assert "manifest is missing: import the scores again" in audit.error


@pytest.mark.parametrize(
    ("experts", "message"),
    [
        (["first"], "two or more"),
        (["first", "first"], "must differ"),
        (["first", "timn:resnet18"], "backend"),
        (["first", "gone"], "backend"),
    ],
)
def test_an_audit_that_makes_no_sense_is_refused_and_nothing_is_written(experts, message):
    dataset = make_scored_dataset()
    with pytest.raises(AuditRefusedError, match=message):
        start_audit(dataset, experts)
    assert not Audit.objects.exists()
    assert ScoreSet.objects.count() == 2


def test_cancel_and_resume_move_the_audit_and_only_scores_nobody_else_waits_for():
    dataset = make_dataset(n_items=6)
    shared = ["stub:3-1", "stub:3-2"]
    first = start_audit(dataset, shared)
    second = start_audit(dataset, ["stub:3-1", "stub:3-3"])
    assert cancel_audit(first)
    assert not cancel_audit(first)
    states = dict(ScoreSet.objects.values_list("expert", "state"))
    assert states == {"stub:3-1": "scoring", "stub:3-2": "cancelled", "stub:3-3": "scoring"}
    assert resume_audit(first)
    first.refresh_from_db()
    assert first.state == Audit.State.SCORING
    assert set(ScoreSet.objects.values_list("state", flat=True)) == {"scoring"}
    assert not resume_audit(second)


def test_an_expert_that_fails_fails_its_audits_with_its_reason():
    dataset = make_dataset(n_items=6)
    audit = start_audit(dataset, ["stub:3-1", "stub:3-2"])
    ScoreSet.objects.filter(expert="stub:3-2").update(state="failed", error="no weights")
    advance_audits()
    audit.refresh_from_db()
    assert audit.state == Audit.State.FAILED
    assert audit.error == "stub:3-2: no weights"


def test_folds_combine_into_scores_of_experts_that_never_saw_the_item():
    dataset = make_dataset(n_items=6, n_classes=3)
    one, two = np.full((6, 3), 1, np.float32), np.full((6, 3), 2, np.float32)
    bring_in(dataset, "fold 0", one)
    bring_in(dataset, "fold 1", two)
    keys = list(dataset.items.order_by("position").values_list("key", flat=True))
    held_out = {key: place % 2 for place, key in enumerate(keys)}
    combined = combine_folds(dataset, "both", ["fold 0", "fold 1"], held_out)
    from audit.score_store import open_scores

    np.testing.assert_array_equal(open_scores(combined.pk)[0:6][:, 0], [1, 2, 1, 2, 1, 2])
    with pytest.raises(ScoresRefusedError, match="1 items have no fold"):
        combine_folds(dataset, "again", ["fold 0", "fold 1"], dict(list(held_out.items())[1:]))


def test_the_database_refuses_bins_that_can_not_be():
    with pytest.raises(IntegrityError):
        Audit.objects.create(dataset=make_dataset(), n_bins=0)
