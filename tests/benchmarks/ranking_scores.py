"""The baselines and the candidates: every score that was tried, as a function of one view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from scoring.arrays import Floats, Ints, Mask
from scoring.cleaning import Queue, calibrated_ensemble, calibrated_margin, ensemble
from scoring.confidence import ScoredItems
from scoring.confident_learning import confident_learning_queues
from scoring.expert_calibration import calibrate_expert
from scoring.ranking import balanced_odds
from scoring.splits import in_half_a
from tests.benchmarks.ranking_sets import RankingSet, Truth

TINY = 1e-6
BALANCED = "balanced odds"
SUMMED = "sum of odds"
SMOOTHED = (0.001, 0.003, 0.01, 0.02)
"""Doubts of the second term alone; 0.003 was the queue before balanced odds."""

SHARES, DOUBTS, WEIGHTS, TRUSTS = (0.1, 0.25, 0.5), (0.01, 0.02, 0.05), (1, 2, 3), (0.5, 1)
"""The grid of sums of tail odds, smoothed odds and class trust."""


@dataclass(frozen=True, slots=True)
class View:
    """What the scores need of one set; arrays are (n_items,) unless said otherwise.

    ``given`` and ``other``: mean probability of the given label and of ``rival``, the likeliest
    other class; ``on_given``, ``on_rival``, ``top1``: the same per expert (n_experts, n_items);
    ``blend_*``: with the experts' probabilities multiplied instead of averaged; ``confused`` /
    ``named``: mean probability of the rival over items of the given class, and the share of the
    rival's mass that lies on items of the given class; ``trust``: the mean of ``given`` per class;
    ``tail``: mean probability of all classes no likelier than the given one; ``confirmed``:
    probability of the given label by the whole soft noise matrix; ``balanced``: minus the rank in
    the queue of ``scoring.ranking``.
    """

    family: str
    truths: tuple[Truth, ...]
    labels: Ints
    top1: Ints
    rival: Ints
    given: Floats
    other: Floats
    on_given: Floats
    on_rival: Floats
    own_rival: Floats
    blend_given: Floats
    blend_other: Floats
    entropy: Floats
    trust: Floats
    confused: Floats
    named: Floats
    baselines: dict[str, Floats]
    tail: Floats
    confirmed: Floats
    balanced: Floats

    @property
    def disputed(self) -> Mask:
        rejected: Mask = (self.top1 != self.labels).all(axis=0)
        return rejected

    @property
    def joint_rival(self) -> Floats:
        """The geometric mean over experts of the rival's probability."""
        joint: Floats = np.exp(np.log(self.on_rival + TINY).mean(axis=0))
        return joint


def read_view(data: RankingSet) -> View:
    """Calibrate both experts by cross-fitting and read everything the scores need."""
    labels, (n_items, n_classes) = data.given, data.logits[0].shape
    half_a = in_half_a(data.keys, 0)
    scored = [calibrate_expert(rows, labels, half_a).scored for rows in data.logits]
    each = [_softmax(rows, view) for rows, view in zip(data.logits, scored, strict=True)]
    mean = each[0] + each[1]
    mean /= 2.0
    rival, given, other = _given_and_rival(mean, labels)
    entropy = -np.einsum("ij,ij->i", mean, np.log(mean + 1e-12)).astype(np.float64)

    class_mass = np.zeros((n_classes, n_classes))
    for label in range(n_classes):
        class_mass[label] = mean[labels == label].sum(axis=0, dtype=np.float64)
    counts = np.maximum(np.bincount(labels, minlength=n_classes), 1)
    confirmed = _confirm(mean, labels, class_mass)
    item = np.arange(n_items)
    on_rival = np.stack([rows[item, rival] for rows in each]).astype(np.float64)
    own_rival = np.stack([_given_and_rival(rows, labels)[2] for rows in each])
    baselines = _baselines(data, scored, mean)
    balanced = balanced_odds(data.logits, scored, labels, keys=data.keys)
    tail = np.where(mean <= mean[item, labels, None], mean, 0.0).sum(axis=1, dtype=np.float64)
    np.multiply(each[0], each[1], out=mean)
    np.sqrt(mean, out=mean)
    mean /= mean.sum(axis=1, keepdims=True)
    _, blend_given, blend_other = _given_and_rival(mean, labels)
    return View(
        family=data.family,
        truths=data.truths,
        labels=labels,
        top1=np.stack([view.top1 for view in scored]).astype(np.int64),
        rival=rival,
        given=given,
        other=other,
        on_given=np.stack([rows[item, labels] for rows in each]).astype(np.float64),
        on_rival=on_rival,
        own_rival=own_rival,
        blend_given=blend_given,
        blend_other=blend_other,
        entropy=entropy,
        trust=class_mass.diagonal() / counts,
        confused=class_mass[labels, rival] / counts[labels],
        named=class_mass[labels, rival] / class_mass.sum(axis=0)[rival],
        baselines=baselines,
        tail=tail,
        confirmed=confirmed,
        balanced=_as_score(balanced, n_items),
    )


def log_odds(for_other: Floats, for_given: Floats, floor: Floats | float) -> Floats:
    """Return the log odds of the rival against the given label, both raised by ``floor``."""
    odds: Floats = np.log(for_other + floor) - np.log(for_given + floor)
    return odds


def candidates(view: View) -> dict[str, Floats]:
    """Return every candidate's score (n_items,), highest first in the queue."""
    margin, doubt = view.other - view.given, 1.0 - view.given
    perplexity = np.exp(view.entropy)
    rival_trust, label_trust = view.trust[view.rival], view.trust[view.labels]
    scores = {
        "disputed first, by margin": margin + 2.0 * view.disputed,
        "margin of multiplied experts": view.blend_other - view.blend_given,
        "least expert's rival - given": view.on_rival.min(axis=0) - view.given,
        "margin, trusting classes": margin + 0.25 * (rival_trust - label_trust),
        "margin, less confusable": margin - 0.5 * view.confused,
        "noise-aware posterior": log_odds(view.named * view.other, view.given, 0.01),
        "log odds": log_odds(view.other, view.given, TINY),
        "log odds, less entropy": log_odds(view.joint_rival, view.given, 0.01) - 0.4 * view.entropy,
        "rank fusion of margin and doubt": _fuse_ranks(margin, doubt),
        "other expert as judge": _predict_other_expert(view),
    }
    for floor in (0.01, 0.03, 0.1, 0.3):
        scores[f"log odds, floor {floor}"] = log_odds(view.other, view.given, floor)
    for share in (0.005, 0.02):
        floor = share * perplexity.mean()
        scores[f"log odds, floor {share} x mean perplexity"] = log_odds(
            view.joint_rival, view.given, floor
        )
    look_alike = {
        floor: log_odds(view.joint_rival, view.given, floor * perplexity)
        for floor in (*SMOOTHED, *DOUBTS)
    }
    for floor in SMOOTHED:
        scores[f"smoothed odds, {floor}"] = look_alike[floor]
    for share in (0.25, 1.0):
        scores[f"tail odds, {share}"] = _tail_odds(view, share)
    scores["self-confidence over class trust"] = -np.log((view.given + TINY) / (label_trust + TINY))
    scores["noise-aware posterior, whole matrix"] = -view.confirmed
    scores["tail odds, trusting classes"] = _tail_odds(view, 0.5) + np.log(label_trust + TINY)
    scores[BALANCED] = view.balanced
    for share, floor, weight, trusting in product(SHARES, DOUBTS, WEIGHTS, TRUSTS):
        scores[f"{SUMMED}, {share}, {floor}, {weight}, {trusting}"] = (
            _tail_odds(view, share)
            + weight * look_alike[floor]
            + trusting * np.log(label_trust + TINY)
        )
    return scores


def _tail_odds(view: View, share: float) -> Floats:
    """Return the log odds of the rival against the given label mixed with the classes below."""
    return log_odds(view.other, (1.0 - share) * view.given + share * view.tail, 1e-9)


def features(view: View) -> Floats:
    """Return what the model of P(error) sees, (n_items, n_features)."""
    return np.column_stack(
        [
            log_odds(view.other, view.given, 0.001),
            log_odds(view.other, view.given, 0.03),
            view.other - view.given,
            view.on_rival.min(axis=0) - view.given,
            view.given,
            view.joint_rival,
            view.entropy,
            view.disputed,
            view.top1[0] == view.top1[1],
        ]
    )


def _baselines(data: RankingSet, scored: list[ScoredItems], mean: Floats) -> dict[str, Floats]:
    """Return the scores a user has today; items outside a queue score minus infinity."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels, n_items = data.given, data.given.size
    tops = [view.top1 for view in scored]
    confidences = [view.confidence for view in scored]
    given = [view.given_probability for view in scored]
    learned = confident_learning_queues(data.logits, scored, labels, keys=data.keys)
    ours: dict[str, Queue] = {
        "calibrated ensemble (paper)": calibrated_ensemble(
            tops, confidences, labels, keys=data.keys
        ),
        "ensemble": ensemble(tops, confidences, labels, keys=data.keys),
        "calibrated margin": calibrated_margin(tops, confidences, given, labels, keys=data.keys),
        "Confident Learning": learned["candidates"],
        "Confident Learning (cleanlab)": learned["cleanlab"],
    }
    scores = {name: _as_score(queue, n_items) for name, queue in ours.items()}
    scores["self-confidence (also cleanlab.rank)"] = 1.0 - np.mean(given, axis=0)
    for method in ("normalized_margin", "confidence_weighted_entropy"):
        quality = get_label_quality_scores(labels, mean, method=method)
        scores[f"cleanlab.rank {method}"] = 1.0 - quality
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        ranked = find_label_issues(
            labels, mean, return_indices_ranked_by=method, n_jobs=1, min_examples_per_class=0
        )
        scores[f"find_label_issues {method}"] = _by_position(np.asarray(ranked), n_items)
    return scores


def _as_score(queue: Queue, n_items: int) -> Floats:
    return _by_position(queue.positions, n_items)


def _by_position(positions: Ints, n_items: int) -> Floats:
    """Return minus each item's rank, minus infinity for items that are not in the queue."""
    score = np.full(n_items, -np.inf)
    score[positions] = -np.arange(positions.size)
    return score


def _fuse_ranks(*scores: Floats) -> Floats:
    """Return the sum of 1 / (10 + rank) over the scores (reciprocal rank fusion)."""
    fused = np.zeros(scores[0].size)
    for score in scores:
        ranks = np.empty(score.size)
        ranks[np.argsort(-score, kind="stable")] = np.arange(score.size)
        fused += 1.0 / (10.0 + ranks)
    return fused


def _predict_other_expert(view: View) -> Floats:
    """Return how far the other expert is expected to prefer another class, summed over experts.

    A regression from one expert's two probabilities to the other's margin, fitted on one half of
    the items and applied to the other.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    half = np.random.default_rng(0).random(view.labels.size) < 0.5
    expected = np.zeros(view.labels.size)
    fit: Callable[[], HistGradientBoostingRegressor] = lambda: HistGradientBoostingRegressor(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=40, learning_rate=0.15, random_state=0
    )
    for judge, witness in ((0, 1), (1, 0)):
        seen = np.column_stack([view.own_rival[witness], np.log(view.on_given[witness] + TINY)])
        verdict = view.own_rival[judge] - view.on_given[judge]
        for part in (half, ~half):
            expected[~part] += fit().fit(seen[part], verdict[part]).predict(seen[~part])
    return expected


def _confirm(mean: np.ndarray, labels: Ints, class_mass: Floats) -> Floats:
    """Return P(given label is right) where class j is labelled y as often as the soft counts say.

    Ten items labelled as often wrongly as the average, evenly, are added to each class.
    """
    n_classes = len(class_mass)
    wrong = 1.0 - np.trace(class_mass) / class_mass.sum()
    even = np.full_like(class_mass, wrong / (n_classes - 1))
    np.fill_diagonal(even, 1.0 - wrong)
    noise = class_mass.T + 10.0 * even
    noise /= noise.sum(axis=1, keepdims=True)  # row: true class; column: given label
    confirmed = np.zeros(labels.size)
    for label in range(n_classes):
        rows = labels == label
        named = mean[rows] @ noise[:, label]
        confirmed[rows] = mean[rows, label] * noise[label, label] / np.maximum(named, 1e-30)
    return confirmed


def _softmax(rows: np.ndarray, view: ScoredItems) -> np.ndarray:
    scaled = rows / view.temperature[:, None].astype(np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def _given_and_rival(chances: np.ndarray, labels: Ints) -> tuple[Ints, Floats, Floats]:
    """Return the likeliest class but the given one, and the probabilities of given and rival."""
    item = np.arange(labels.size)
    others = chances.copy()
    others[item, labels] = -1.0
    rival = others.argmax(axis=1)
    return (
        rival,
        chances[item, labels].astype(np.float64),
        others[item, rival].astype(np.float64),
    )
