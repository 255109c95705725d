"""Experts once more: accuracy and calibration by cleaned beside given labels (Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from audit.models import Audit, Dataset, ScoreSet
from audit.score_store import open_scores
from audit.services.measurements import Tell
from reviews.cascade_experts import CascadeRefusedError
from reviews.cascade_halves import load_items
from reviews.cascades import describe_interval, find_warnings
from reviews.decisions import Snapshot
from reviews.evaluation_labels import (
    GIVEN,
    RELEASE,
    EvaluationLabels,
    find_release,
    load_labels,
)
from reviews.models import Policy
from reviews.services.releases import snapshot_of
from scoring.arrays import NOT_SCORED, Ints, Mask
from scoring.calibration import Degenerate
from scoring.ece_intervals import ece_interval
from scoring.expert_answers import AnswerCalibrator, ExpertAnswers, fit_answers
from scoring.intervals import Interval, wilson
from scoring.paired import mean_interval, paired_difference
from scoring.splits import in_half_a

Document: TypeAlias = dict[str, Any]
ECE_SEED = 15
"""One seed for all intervals: the same scores must give the same figures."""


@dataclass(frozen=True, slots=True)
class SecondOrder:
    """What is asked for; judgments after the ``snapshot`` don't count in cleaned labels."""

    labels: str
    policy: str = Policy.LENIENT
    calibrator: AnswerCalibrator = "temperature"
    n_bins: int = 15
    seed: int = 0
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class _Ground:
    """The items that count, shape (n_items,) each: ``one_class`` is -1 where none is the one."""

    keys: list[str]
    given: Ints
    one_class: Ints
    half_a: Mask
    labels: EvaluationLabels


def measure_second_pass(audit: Audit, order: SecondOrder, tell: Tell) -> Document:
    """Return every expert's figures by given and by cleaned labels, on the same items.

    Calibrators are fitted on half A, by the given labels and again by the others, and measured on
    half B. Items that are excluded, or of which no class holds, take no part in either.
    """
    dataset = audit.dataset
    if order.labels == GIVEN:
        raise CascadeRefusedError("a second pass needs other labels than the given ones")
    score_sets = list(dataset.score_sets.filter(state=ScoreSet.State.READY).order_by("expert"))
    kept = [each for each in score_sets if not each.has_outcomes_only]
    if not kept or not dataset.has_classes:
        raise CascadeRefusedError(f"{dataset} has no scores of classes to measure again")
    keys, given = load_items(dataset)
    labels = load_labels(dataset, given, order.labels, order.policy, order.snapshot)
    one_class = _choose_class(labels, given)
    ground = _Ground(keys, given, one_class, in_half_a(keys, order.seed), labels)
    tell(0, len(kept))
    experts = []
    for done, score_set in enumerate(kept, start=1):
        experts.append(_measure_expert(score_set, ground, order))
        tell(done, len(kept))
    names = [each.expert for each in kept]
    return {
        "audit": audit.pk,
        "settings": _describe_order(order, dataset),
        "items": {
            "all": len(keys),
            "measured": int(labels.is_known.sum()),
            "left_out": int((~labels.is_known).sum()),
            "without_one_class": int((labels.is_known & (one_class == NOT_SCORED)).sum()),
        },
        "experts": experts,
        "notes": [
            *labels.notes,
            *(
                f"{each.expert} has outcomes and no scores of classes: it is left out"
                for each in score_sets
                if each.has_outcomes_only
            ),
        ],
        "warnings": find_warnings(labels, names, [dataset]),
    }


def _choose_class(labels: EvaluationLabels, given: Ints) -> Ints:
    """Return the class to fit by: the given one where it holds, else the only one that does."""
    chosen = [
        label if label in classes else next(iter(classes)) if len(classes) == 1 else NOT_SCORED
        for label, classes in zip(given.tolist(), labels.holding, strict=True)
    ]
    return np.array(chosen, dtype=np.int64)


def _measure_expert(score_set: ScoreSet, ground: _Ground, order: SecondOrder) -> Document:
    scores = open_scores(score_set.pk)
    fits: dict[str, ExpertAnswers] = {}
    refusals: dict[str, str] = {}
    can_fit = ground.half_a & ground.labels.is_known & (ground.one_class != NOT_SCORED)
    # Both fits see the same items, so that only the labels differ.
    for name, by in (("given", ground.given), ("cleaned", ground.one_class)):
        try:
            labels = np.where(by == NOT_SCORED, 0, by)
            fits[name] = fit_answers(scores, labels, can_fit, order.calibrator)
        except Degenerate as refusal:
            refusals[name] = str(refusal)
    answers = (
        next(iter(fits.values())) if fits else fit_answers(scores, ground.given, can_fit, "none")
    )
    usable = ground.labels.is_known & answers.valid
    right = {
        "given": answers.top1 == ground.given,
        "cleaned": ground.labels.is_right(answers.top1),
    }
    found: Document = {
        "name": score_set.expert,
        "flagged": score_set.expert in ground.labels.flagged_by,
        "items": int(usable.sum()),
        "accuracy": {name: _share(each[usable]) for name, each in right.items()},
        "change": describe_interval(
            paired_difference(right["cleaned"][usable], right["given"][usable])
        ),
        "refusals": refusals,
        "parameters": {name: _parameters(each) for name, each in fits.items()},
        "ece": {},
        "brier_change": None,
    }
    if len(fits) == 2:
        found |= _measure_calibration(fits, right, usable & ~ground.half_a, ground, order.n_bins)
    return found


def _measure_calibration(
    fits: dict[str, ExpertAnswers],
    right: dict[str, Mask],
    held_out: Mask,
    ground: _Ground,
    n_bins: int,
) -> Document:
    """Return ECE on half B of the fit by given labels, seen by both, and of the fit by cleaned."""
    if not held_out.any():
        return {}
    keys = np.array(ground.keys)[held_out]
    errors: dict[str, Interval] = {}
    for name, fit, by in (
        ("given_on_given", "given", "given"),
        ("given_on_cleaned", "given", "cleaned"),
        ("cleaned_on_cleaned", "cleaned", "cleaned"),
    ):
        confidence, correct = fits[fit].confidence[held_out], right[by][held_out]
        rng = np.random.default_rng(ECE_SEED)
        errors[name] = ece_interval(confidence, correct, rng, n_bins=n_bins, keys=keys)
    correct = right["cleaned"][held_out]
    squares = [
        np.square(fits[name].confidence[held_out] - correct) for name in ("cleaned", "given")
    ]
    return {
        "ece": {name: describe_interval(each) for name, each in errors.items()},
        "brier_change": describe_interval(mean_interval(squares[0] - squares[1])),
    }


def _share(correct: Mask) -> Document:
    return describe_interval(wilson(int(correct.sum()), correct.size))


def _parameters(answers: ExpertAnswers) -> Document:
    """Return the fitted numbers, but for those of every class or step."""
    stored = answers.calibrator.to_json() if answers.calibrator else {}
    return {name: value for name, value in stored.items() if isinstance(value, float)}


def _describe_order(order: SecondOrder, dataset: Dataset) -> Document:
    """Return what was asked for; a release speaks for its own policy and moment."""
    policy, snapshot = str(order.policy), order.snapshot
    if order.labels.startswith(RELEASE):
        release = find_release(dataset, order.labels.removeprefix(RELEASE))
        policy, snapshot = release.policy_name, snapshot_of(release)
    return {
        "dataset": dataset.slug,
        "labels": order.labels,
        "policy": policy,
        "calibrator": order.calibrator,
        "bins": order.n_bins,
        "seed": order.seed,
        "judgments_up_to": snapshot.judgment if snapshot else None,
        "adjudications_up_to": snapshot.adjudication if snapshot else None,
    }


def write_second_pass(document: Document) -> Sequence[str]:
    """Return the figures as lines for people: warnings first, then a line per expert."""
    items = document["items"]
    lines = [f"warning: {each}" for each in document["warnings"]]
    lines += [f"note: {each}" for each in document["notes"]]
    lines.append(
        f"{items['measured']:,} of {items['all']:,} items measured, {items['left_out']:,} left "
        f"out; by given labels and by {document['settings']['labels']}"
    )
    for expert in document["experts"]:
        given, cleaned = expert["accuracy"]["given"], expert["accuracy"]["cleaned"]
        change = expert["change"]
        lines.append(
            f"{expert['name']}: accuracy {given['estimate']:.4f} -> {cleaned['estimate']:.4f}, "
            f"{change['estimate']:+.4f} [{change['low']:+.4f}, {change['high']:+.4f}]"
        )
        for name, reason in expert["refusals"].items():
            lines.append(f"  not calibrated by {name} labels: {reason}")
        for name, numbers in expert["parameters"].items():
            told = ", ".join(f"{key} {value:.4f}" for key, value in numbers.items())
            if told:
                lines.append(f"  fitted by {name} labels: {told}")
        for name, error in expert["ece"].items():
            fit, by = name.split("_on_")
            lines.append(
                f"  calibration error, fitted by {fit}, measured by {by}: {error['estimate']:.4f} "
                f"[{error['low']:.4f}, {error['high']:.4f}]"
            )
        if brier := expert["brier_change"]:
            lines.append(
                f"  Brier score of the new fit less the old one's: {brier['estimate']:+.5f} "
                f"[{brier['low']:+.5f}, {brier['high']:+.5f}]"
            )
    return lines
