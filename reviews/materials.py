"""Rows to arrays to rows: what the desk shows beside each item, made once when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.evidence import load_evidence
from audit.methods import RANKINGS
from audit.models import Audit, Dataset
from audit.score_store import ScoreStoreError, open_scores
from reviews.categories import find_near_classes
from reviews.models import SampledClass
from reviews.populations import Population
from scoring.arrays import Ints
from scoring.comparisons import candidate_classes, clean_exemplars, confusable_pairs


@dataclass(frozen=True, slots=True)
class Material:
    """Per drawn item its candidate classes, and what there is to show of each class, unsaved."""

    candidates: list[list[int]]
    classes: list[SampledClass]


def prepare_material(audit: Audit, population: Population, positions: Ints) -> Material:
    """Return what the desk shows of the items at ``positions``, shape (n_drawn,)."""
    if audit.dataset.kind != Dataset.Kind.IMAGE:
        return Material([[] for _ in positions], [])
    top1s = np.asarray(load_evidence(audit.pk).top1)
    candidates = candidate_classes(
        population.given_labels[positions], top1s[:, positions], _read_logits(audit, positions)
    )
    return Material(
        [[label for label in row if label >= 0] for row in candidates.tolist()],
        _describe_classes(audit, population, positions),
    )


def _read_logits(audit: Audit, positions: Ints) -> list[np.ndarray]:
    """Return each expert's logits of the items; none where the scores have been moved away."""
    experts = audit.experts.order_by("order").values_list("score_set", flat=True)
    try:
        scores = [open_scores(score_set) for score_set in experts]
    except ScoreStoreError:
        return []
    return [
        np.concatenate([rows[int(place) : int(place) + 1] for place in positions])
        for rows in scores
    ]


def _describe_classes(audit: Audit, population: Population, positions: Ints) -> list[SampledClass]:
    evidence = load_evidence(audit.pk)
    flagged = [population.flagged_by(name) for name in population.ranks if name not in RANKINGS]
    allowed = population.usable & ~np.any(flagged, axis=0) if flagged else population.usable.copy()
    allowed[positions] = False  # nobody shall have seen as an example what they are to judge
    n_classes = audit.dataset.n_classes
    exemplars = clean_exemplars(
        population.given_labels, evidence.top1, evidence.confidence, allowed, n_classes,
        n_bins=audit.n_bins,
    )  # fmt: skip
    pairs: Sequence[tuple[int, int]] = [
        (one, other)
        for one, other in confusable_pairs(
            population.given_labels, evidence.top1, n_classes
        ).tolist()
    ]
    near = find_near_classes(list(audit.dataset.classes.all()), pairs)
    return [
        SampledClass(
            index=index,
            exemplars=population.item_ids[places[places >= 0]].tolist(),
            near=near.get(index, {}),
        )
        for index, places in enumerate(exemplars)
    ]
