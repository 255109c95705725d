"""How far several annotators agree, and what their votes say together.

Votes are a matrix (n_items, n_annotators) of category indices; -1 means "did not vote". Every
coefficient takes missing votes; one that the votes leave undefined is None, never a made-up 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Floats, Ints
from scoring.intervals import Interval, z_value

NO_VOTE = -1


def as_votes(votes: ArrayLike) -> Ints:
    """Return ``votes`` as whole numbers (n_items, n_annotators), -1 where missing.

    Floats are accepted where they are whole; NaN then means missing too.
    """
    given = np.asarray(votes)
    if given.ndim != 2:
        raise ValueError(f"votes must be (n_items, n_annotators), got shape {given.shape}")
    if given.dtype.kind == "f":
        given = np.where(np.isnan(given), NO_VOTE, given)
    checked = given.astype(np.int64) if given.dtype.kind in "fiu" else None
    if checked is None or (checked != given).any() or (checked.size and checked.min() < NO_VOTE):
        raise ValueError("votes must be category indices >= 0, or -1 for a missing vote")
    return checked


def count_votes(votes: ArrayLike, n_categories: int | None = None) -> Ints:
    """Return how many annotators chose each category, (n_items, n_categories).

    ``n_categories`` defaults to those up to the highest in use.
    """
    checked = as_votes(votes)
    n_used = int(checked.max(initial=NO_VOTE)) + 1
    n = n_used if n_categories is None else n_categories
    if n < n_used:
        raise ValueError(f"category {n_used - 1} of {n} categories")
    item, annotator = np.nonzero(checked != NO_VOTE)
    cell = item * n + checked[item, annotator]
    return np.bincount(cell, minlength=len(checked) * n).reshape(len(checked), n)


def raw_agreement(votes: ArrayLike) -> float | None:
    """Return the share of agreeing pairs of votes, averaged over items with two votes or more."""
    return _agreement_of(count_votes(votes))


def krippendorff_alpha(votes: ArrayLike) -> float | None:
    """Return Krippendorff's alpha for nominal categories: 1 - observed / expected disagreement.

    With m votes on an item, its pairs weigh 1 / (m - 1); items with one vote are left out.
    None where no two votes can be compared, or all are for one category.
    """
    coincidences = category_confusion(votes)
    total = coincidences.sum()
    of_category = coincidences.sum(axis=1)
    expected = (total**2 - of_category @ of_category) / (total - 1) if total > 1 else 0.0
    if expected <= 0:
        return None
    return float(1 - (total - np.trace(coincidences)) / expected)


def category_confusion(votes: ArrayLike, n_categories: int | None = None) -> Floats:
    """Return which categories meet on the same items, symmetric (n_categories, n_categories).

    Krippendorff's coincidence table: all ordered pairs of votes on an item, weighing 1 / (m - 1)
    for m votes; it sums to the number of votes that can be compared.
    """
    counts = count_votes(votes, n_categories).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]
    weight = 1.0 / (counts.sum(axis=1) - 1)
    table: Floats = (counts.T * weight) @ counts - np.diag(weight @ counts)
    return table


def gwet_ac1(votes: ArrayLike, n_categories: int | None = None) -> float | None:
    """Return Gwet's AC1 (2008), which does not collapse when one category dominates.

    (A - E) / (1 - E), A the raw agreement, E = sum pi (1 - pi) / (n_categories - 1), pi the mean
    share of a category over all items with a vote. ``n_categories``: how many could be chosen, by
    default up to the highest in use, at least two. None where no item has two votes.
    """
    counts = count_votes(votes, n_categories)
    observed = _agreement_of(counts)
    if observed is None:
        return None
    voted = counts[counts.sum(axis=1) > 0]
    share = (voted / voted.sum(axis=1, keepdims=True)).mean(axis=0)
    expected = float((share * (1 - share)).sum()) / (max(counts.shape[1], 2) - 1)
    return float((observed - expected) / (1 - expected))


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return Cohen's kappa of two annotators, each (n_items,), over the items both voted on.

    None where there is no such item, or both always chose one and the same category.
    """
    votes = as_votes(np.stack([np.asarray(first), np.asarray(second)], axis=1))
    a, b = votes[(votes != NO_VOTE).all(axis=1)].T
    if a.size == 0:
        return None
    n = int(votes.max()) + 1
    expected = float(np.bincount(a, minlength=n) @ np.bincount(b, minlength=n)) / a.size**2
    if expected == 1:
        return None
    return float(((a == b).mean() - expected) / (1 - expected))


def pairwise_kappas(votes: ArrayLike) -> Floats:
    """Return Cohen's kappa of every two annotators, (n_annotators, n_annotators).

    NaN where undefined, and on the diagonal.
    """
    checked = as_votes(votes)
    n_annotators = checked.shape[1]
    kappas = np.full((n_annotators, n_annotators), np.nan)
    for one in range(n_annotators):
        for other in range(one + 1, n_annotators):
            kappa = cohen_kappa(checked[:, one], checked[:, other])
            kappas[one, other] = kappas[other, one] = np.nan if kappa is None else kappa
    return kappas


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What Dawid and Skene's model (1979) makes of the votes.

    ``posterior`` (n_items, n_categories): probability of each true category, NaN for items without
    a vote; ``prior`` (n_categories,); ``confusion`` (n_annotators, n_categories, n_categories):
    probability of each vote (last axis) given the truth, NaN where an annotator never voted on
    such an item; ``log_likelihood``: of all votes, after each step.
    """

    posterior: Floats
    prior: Floats
    confusion: Floats
    log_likelihood: tuple[float, ...]
    converged: bool


def dawid_skene(
    votes: ArrayLike,
    n_categories: int | None = None,
    *,
    pseudo_count: float = 0.0,
    max_steps: int = 1000,
    tolerance: float = 1e-8,
) -> DawidSkene:
    """Fit every annotator's error rates and every item's true category together, by EM.

    Starts from the shares of votes, so that categories keep their names. ``pseudo_count`` is added
    to every cell of the confusion tables: with a few votes each, 0 believes in perfect annotators.
    Stops when the mean log likelihood per vote gains less than ``tolerance``.
    """
    checked = as_votes(votes)
    counts = count_votes(checked, n_categories)
    n_items, n = counts.shape
    item, annotator = np.nonzero(checked != NO_VOTE)
    if item.size == 0:
        raise ValueError("there is no vote to learn from")
    label = checked[item, annotator]
    voted = counts.sum(axis=1) > 0
    posterior = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    likelihoods: list[float] = []
    converged = False
    while not converged and len(likelihoods) < max_steps:
        prior = posterior[voted].mean(axis=0)
        # Per annotator the labels given (rows) against the truths of the items (columns).
        tables = np.full((checked.shape[1], n, n), pseudo_count)
        np.add.at(tables, (annotator, label), posterior[item])
        sums = tables.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            confusion = tables / sums
            # A truth that an annotator never met says nothing about the items they voted on.
            log_confusion = np.where(sums > 0, np.log(confusion), 0.0)
            joint = np.tile(np.log(prior), (n_items, 1))
        np.add.at(joint, item, log_confusion[annotator, label])
        top = joint.max(axis=1, keepdims=True)
        weights = np.exp(joint - top)
        evidence = weights.sum(axis=1, keepdims=True)
        posterior = np.where(voted[:, None], weights / evidence, 0.0)
        likelihoods.append(float((np.log(evidence) + top)[voted].sum()))
        gain = likelihoods[-1] - likelihoods[-2] if len(likelihoods) > 1 else np.inf
        converged = gain < tolerance * item.size
    return DawidSkene(
        np.where(voted[:, None], posterior, np.nan),
        prior,
        confusion.swapaxes(1, 2),
        tuple(likelihoods),
        converged,
    )


def rogan_gladen(
    observed: float,
    n: float,
    sensitivity: float,
    n_sensitivity: float,
    specificity: float,
    n_specificity: float,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the true rate behind an ``observed`` one (Rogan and Gladen 1978).

    For annotators who err at known rates: (observed + specificity - 1) / (sensitivity +
    specificity - 1), cut to [0, 1]. The three are shares of ``n`` items, of ``n_sensitivity`` known
    errors and of ``n_specificity`` known correct labels (gold items); ``n`` may be an effective
    size. The interval is Lang and Reiczigel's (2014), which counts the uncertainty of all three.
    """
    for name, share, size in (
        ("observed", observed, n),
        ("sensitivity", sensitivity, n_sensitivity),
        ("specificity", specificity, n_specificity),
    ):
        if not (0 <= share <= 1 and size > 0):
            raise ValueError(f"{name} must be a share of some items, got {share} of {size}")
    if sensitivity + specificity <= 1:
        raise ValueError(
            f"annotators of sensitivity {sensitivity} and specificity {specificity} tell nothing: "
            "their sum must exceed 1"
        )
    estimate = (observed + specificity - 1) / (sensitivity + specificity - 1)
    z = z_value(confidence)
    # Shares moved towards the middle keep their variance positive where all or none succeeded.
    seen = (n * observed + z * z / 2) / (n + z * z)
    right = (n_sensitivity * sensitivity + 1) / (n_sensitivity + 2)
    cleared = (n_specificity * specificity + 1) / (n_specificity + 2)
    power = right + cleared - 1
    if power <= 0:
        return Interval(min(max(estimate, 0.0), 1.0), 0.0, 1.0)
    rate = (seen + cleared - 1) / power
    missing = right * (1 - right) / (n_sensitivity + 2)
    crying = cleared * (1 - cleared) / (n_specificity + 2)
    sampling = seen * (1 - seen) / (n + z * z)
    spread = z * sqrt(sampling + rate**2 * missing + (1 - rate) ** 2 * crying) / power
    middle = rate + 2 * z * z * (rate * missing - (1 - rate) * crying)
    estimate, low, high = (
        min(max(value, 0.0), 1.0) for value in (estimate, middle - spread, middle + spread)
    )
    return Interval(estimate, min(low, estimate), max(high, estimate))


def _agreement_of(counts: Ints) -> float | None:
    """Return the mean over items of the share of agreeing pairs among their votes."""
    n_votes = counts.sum(axis=1)
    several = n_votes >= 2
    if not several.any():
        return None
    pairs = (counts * (counts - 1)).sum(axis=1)[several]
    return float((pairs / (n_votes * (n_votes - 1))[several]).mean())
