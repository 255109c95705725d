"""What the desk shows beside an item: made when it is drawn, from scores, flags and classes."""

from __future__ import annotations

import numpy as np
import pytest

from audit.evidence import load_evidence
from audit.models import Audit, Item, ScoreSet
from audit.services.audits import start_audit
from audit.services.calibration import calibrate_audit
from audit.services.scores import store_scores
from reviews.models import Sample, SampledClass
from reviews.revisions import find_changed_items
from reviews.services.sampling import discard_sample, freeze_sample
from tests.factories import make_dataset, make_ready_audit

pytestmark = pytest.mark.django_db
N_ITEMS, N_CLASSES = 120, 8


def make_scored_audit() -> Audit:
    """A real audit: the first twelve labels are disputed, 0 and 1 are often confused."""
    dataset = make_dataset(n_items=N_ITEMS, n_classes=N_CLASSES)
    labels = np.arange(N_ITEMS) % N_CLASSES
    believed = labels.copy()
    believed[:12] = (labels[:12] + 3) % N_CLASSES
    confused = np.flatnonzero(labels == 0)[-4:]
    believed[confused] = 1
    for name, seed in (("first", 1), ("second", 2)):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(N_ITEMS, N_CLASSES)).astype(np.float32)
        logits[np.arange(N_ITEMS), believed] += rng.uniform(3, 9, N_ITEMS).astype(np.float32)
        store_scores(dataset, name, [logits], source=ScoreSet.Source.IMPORTED)
    audit = start_audit(dataset, ["first", "second"], n_bins=5)
    assert calibrate_audit(audit.pk)
    audit.refresh_from_db()
    return audit


@pytest.fixture
def sample() -> Sample:
    return freeze_sample(make_scored_audit(), size=12, unflagged=6)


def test_each_item_has_six_candidates_its_label_and_every_experts_word_among_them(sample):
    top1 = load_evidence(sample.audit_id).top1
    for row in sample.items.select_related("item"):
        assert len(row.candidates) == len(set(row.candidates)) == 6
        assert row.candidates[0] == row.item.given_label
        assert set(top1[:, row.item.position].tolist()) <= set(row.candidates)


def test_exemplars_are_confirmed_unflagged_and_never_sampled(sample):
    audit = sample.audit
    evidence = load_evidence(audit.pk)
    sampled = set(sample.items.values_list("item", flat=True))
    flagged = set(audit.flags.exclude(method__in=["self_confidence", "balanced_odds"])
                  .values_list("item", flat=True))  # fmt: skip
    rows = SampledClass.objects.filter(sample=sample)
    assert [row.index for row in rows] == list(range(N_CLASSES))
    shown = [(row.index, item) for row in rows for item in row.exemplars]
    assert len(shown) >= N_CLASSES
    positions = dict(Item.objects.values_list("pk", "position"))
    for index, item in shown:
        assert item not in sampled | flagged
        assert evidence.top1[:, positions[item]].tolist() == [index, index]


def test_classes_that_the_experts_confuse_are_near_each_other(sample):
    near = {row.index: row.near for row in sample.classes.all()}
    assert near[0]["1"] == near[1]["0"] == "similar_class"


def test_without_score_files_the_candidates_are_the_label_and_the_top_ones():
    sample = freeze_sample(make_ready_audit(), size=6, unflagged=4)  # no scores on disk
    for row in sample.items.select_related("item"):
        given = row.item.given_label
        disputed = row.item.position < 6
        assert row.candidates == ([given, (given + 1) % 3] if disputed else [given])


def test_a_discarded_sample_takes_its_classes_along(sample):
    discard_sample(sample)
    assert not SampledClass.objects.exists()


def test_r22_an_item_or_class_name_that_changed_after_it_was_drawn_is_found(sample):
    assert find_changed_items(sample) == []
    first, second = (row.item for row in sample.items.select_related("item")[:2])
    Item.objects.filter(pk=first.pk).update(content_sha256="f" * 64)
    label = second.given_label
    sample.audit.dataset.classes.filter(index=label).update(gloss="something else")
    changed = find_changed_items(sample)
    assert first in changed
    assert second in changed
    assert {item.given_label for item in changed} <= {first.given_label, label}
