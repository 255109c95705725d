"""Rows to arrays to numbers: curves and comparisons of an audit's methods. No arithmetic here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from audit.methods import CALIBRATED_ENSEMBLE, order_methods
from audit.models import Audit
from reviews.agreements import describe_agreement
from reviews.anchoring import describe_first_sight
from reviews.judge_words import JUDGE, JudgeWord, load_judge_word, write_interval
from reviews.models import Adjudication, Judgment, ReviewSlot
from reviews.populations import Population, load_population, stratify
from reviews.truths import JUDGMENTS, Truth, load_truth
from scoring.arrays import Mask
from scoring.bands import precision_band
from scoring.differences import detection_difference, precision_difference
from scoring.domain_estimates import (
    Domain,
    detection_rate,
    largest_k,
    lower_limit,
    precision,
    worst_detection_shares,
)
from scoring.equal_detection import EqualDetection, difference_of, precision_at_detection
from scoring.intervals import Interval, IntervalMethod, widen
from scoring.judged_sample import JudgedSample
from scoring.trend import precision_trend

Document: TypeAlias = dict[str, Any]

N_DEPTHS = 20
PRECISION_TARGET = 0.9
LEAST_AT = (0.8, 0.9, 0.95, 0.99)
"""One-sided confidences at which the least precision of the top bins is told."""
DETECTION_RATES = tuple(tenth / 10 for tenth in range(1, 10))
BAND_SEED = 20
"""One seed for all bands: the same judgments must give the same report."""


class UnknownMethodError(ValueError):
    """The audit has no such method."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the figures of one report are made of.

    ``worst``: the sample had every unsure item been no error, and had it been one; None where
    nobody was unsure. ``intervals``: how the limits of a precision are made. ``judge``: the word
    of a judge model that people's verdicts correct.
    """

    population: Population
    truth: Truth
    sample: JudgedSample
    worst: tuple[JudgedSample, JudgedSample] | None
    intervals: IntervalMethod = "wilson"
    judge: JudgeWord | None = None
    precision_target: float = PRECISION_TARGET


def curves(
    audit: Audit,
    truth: str,
    policy: str,
    methods: Sequence[str] | None = None,
    intervals: IntervalMethod = "wilson",
    target: float = PRECISION_TARGET,
    *,
    equal_detection: bool = False,
) -> Document:
    """Return the report of the contract: points per method, overlap of each pair, agreement.

    ``equal_detection`` adds how every two methods compare at nine detection rates.
    """
    evidence = replace(
        gather_evidence(audit, truth, policy), intervals=intervals, precision_target=target
    )
    chosen = choose_methods(audit, evidence.population, methods)
    sample, known = evidence.sample, evidence.truth
    document: Document = {
        "audit": audit.pk,
        "truth": truth,
        "policy": str(policy),
        "intervals": intervals,
        "items": evidence.population.n_usable,
        "judged": len(sample.judged),
        "errors": int(sample.is_error.sum()),
        "unsure": len(known.unsure),
        "votes_in": count_votes_in(audit),
        "adjudicated": known.n_adjudicated,
        "kind": sample.kind,
        "census": sample.is_census,
        "last_judgment": last_judgment(audit),
        "last_adjudication": last_adjudication(audit),
        "judge": evidence.judge.describe() if evidence.judge else None,
        "first_sight": describe_first_sight(audit, policy) if truth == JUDGMENTS else None,
        "methods": {name: _describe_method(audit, evidence, name) for name in chosen},
        # Table 3's question: what the first method finds that another doesn't, and the reverse.
        "overlap": [_describe_overlap(evidence, chosen[0], other) for other in chosen[1:]],
        "agreement": {
            "items_with_several_votes": known.n_with_several_votes,
            "unanimous": known.n_unanimous,
            **describe_agreement(known.votes),
        },
    }
    if equal_detection:
        _compare_at_detection(evidence, document)
    return document


def _compare_at_detection(evidence: Evidence, document: Document) -> None:
    """Add to methods and pairs what they are worth where they find the same share of errors."""
    found = {
        method: _find_at_detection(evidence, method)
        for method in document["methods"]
        if method in evidence.population.ranks
    }
    for method, described in document["methods"].items():
        described["at_detection_rate"] = [
            {"rate": rate, "flagged": point.flagged, "precision": write_interval(point.precision)}
            for rate, point in found.get(method, {}).items()
        ]
    differences = {
        (a, b, rate): difference_of(evidence.sample, found[a][rate], found[b][rate])
        for a, b in combinations(found, 2)
        for rate in DETECTION_RATES
        if rate in found[a] and rate in found[b]
    }
    document["equal_detection"] = [
        _write_difference(key, difference, len(differences))
        for key, difference in differences.items()
    ]
    for pair in document["overlap"]:
        pair["at_detection_rate"] = [
            {"rate": row["rate"], "difference": row["difference"]}
            for row in document["equal_detection"]
            if (row["a"], row["b"]) == (pair["a"], pair["b"])
        ]


def _find_at_detection(evidence: Evidence, method: str) -> dict[float, EqualDetection]:
    ranks = evidence.population.ranks[method]
    points = {
        rate: precision_at_detection(evidence.sample, ranks, rate) for rate in DETECTION_RATES
    }
    return {rate: point for rate, point in points.items() if point is not None}


def _write_difference(
    key: tuple[str, str, float], difference: Interval, n_together: int
) -> Document:
    """Return a difference with its own limits, and with those that hold for all at once."""
    first, second, rate = key
    return {
        "a": first,
        "b": second,
        "rate": rate,
        "difference": write_interval(difference),
        "together": write_interval(widen(difference, n_together)),
    }


def gather_evidence(audit: Audit, truth: str, policy: str) -> Evidence:
    """Return the population and its judged sample as arrays."""
    judge = load_judge_word(audit, truth, policy) if truth.startswith(JUDGE) else None
    known = load_truth(audit, JUDGMENTS if judge else truth, policy)
    population = load_population(audit)
    strata = stratify(audit, population)
    judged, is_error = known.judged, known.is_error
    worst = None
    if known.unsure.size:
        everyone = np.concatenate([judged, known.unsure])
        worst = tuple(
            JudgedSample.build(
                strata.of_item,
                strata.is_flagged,
                everyone,
                np.concatenate([is_error, np.full(known.unsure.size, verdict)]),
            )
            for verdict in (False, True)
        )
    return Evidence(
        population=population,
        truth=known,
        sample=JudgedSample.build(strata.of_item, strata.is_flagged, judged, is_error),
        worst=(worst[0], worst[1]) if worst else None,
        judge=judge,
    )


def choose_methods(
    audit: Audit, population: Population, methods: Sequence[str] | None
) -> list[str]:
    """Return the methods to report, all of the audit's by default, in the pages' order."""
    known = order_methods({*population.ranks, *audit.queue_counts})
    if methods is None:
        return known
    for method in methods:
        if method not in known:
            raise UnknownMethodError(f"{method!r} is not one of: {', '.join(known)}")
    return [method for method in known if method in methods]


def count_votes_in(audit: Audit) -> int:
    """Return how many of the votes that the sample asks for people have given."""
    slots = ReviewSlot.objects.for_estimates().filter(sample__audit=audit)
    return slots.filter(state=ReviewSlot.State.JUDGED).count()


def last_judgment(audit: Audit) -> int:
    """Return the number of the newest judgment, 0 without any: the snapshot of a figure."""
    newest = Judgment.objects.filter(slot__sample__audit=audit).order_by("-pk")
    return newest.values_list("pk", flat=True).first() or 0


def last_adjudication(audit: Audit) -> int:
    """Return the number of the newest adjudication, 0 without any."""
    newest = Adjudication.objects.filter(sampled_item__sample__audit=audit).order_by("-pk")
    return newest.values_list("pk", flat=True).first() or 0


def _depths(evidence: Evidence, n_flagged: int) -> list[int]:
    """Return evenly spaced depths of a ranking, and as many within the size of the paper's queue.

    A ranking of all items is read at its head: one point per twentieth would begin too deep.
    """
    head = min(n_flagged, int((evidence.population.bin_rank > 0).sum()) or n_flagged)
    spaced = [np.linspace(0, end, N_DEPTHS + 1)[1:] for end in (head, n_flagged)]
    depths = np.unique(np.ceil(np.concatenate(spaced))).astype(int)
    return [depth for depth in depths.tolist() if depth]


def _describe_method(audit: Audit, evidence: Evidence, method: str) -> Document:
    if method != CALIBRATED_ENSEMBLE:
        ranks = evidence.population.ranks.get(method)
        n_flagged = 0 if ranks is None else int(ranks.max())
        sets = {n: evidence.population.top(method, n) for n in _depths(evidence, n_flagged)}
        return {"points": _describe_points(evidence, "n", sets)}
    bins = evidence.population.bin_rank
    by_bin = {
        number: Domain.of(evidence.sample, evidence.population.usable & (bins == number))
        for number in range(1, audit.n_bins + 1)
    }
    return {
        "points": _describe_points(
            evidence,
            "k",
            {k: evidence.population.top_bins(k) for k in range(1, audit.n_bins + 1)},
        ),
        "least": _describe_least(evidence, audit.n_bins),
        "bins": [
            {"bin": number, **_describe_set(evidence, domain)} for number, domain in by_bin.items()
        ],
        "largest_k": {
            "precision": evidence.precision_target,
            "k": largest_k(evidence.sample, bins, audit.n_bins, evidence.precision_target),
        },
        "trend": _describe_trend(evidence, list(by_bin.values())),
    }


def _describe_least(evidence: Evidence, n_bins: int) -> dict[str, list[float | None]]:
    """Return what the precision of the top 1, 2, .. bins is at least, by one-sided confidence."""
    tops = [
        Domain.of(evidence.sample, evidence.population.top_bins(k)) for k in range(1, n_bins + 1)
    ]
    return {
        str(confidence): [lower_limit(evidence.sample, top, confidence=confidence) for top in tops]
        for confidence in LEAST_AT
    }


def _describe_trend(evidence: Evidence, bins: list[Domain]) -> Document:
    """Return how precision changes from bin to bin, and whether that could be chance."""
    trend = precision_trend(evidence.sample, bins)
    return {"slope": write_interval(trend.slope), "p_value": trend.p_value}


def _describe_points(evidence: Evidence, name: str, sets: dict[int, Mask]) -> list[Document]:
    """Return one point per set; the band holds for the whole curve at once.

    There is no band around figures that a judge has a part in.
    """
    domains = {place: Domain.of(evidence.sample, members) for place, members in sets.items()}
    if evidence.judge:
        return [
            {name: place, **_describe_point(evidence, domain)} for place, domain in domains.items()
        ]
    bands = precision_band(
        evidence.sample,
        list(domains.values()),
        rng=np.random.default_rng(BAND_SEED),
        method=evidence.intervals,
    )
    return [
        {
            name: place,
            **_describe_point(evidence, domain),
            "band": {"low": band.low, "high": band.high},
        }
        for (place, domain), band in zip(domains.items(), bands, strict=True)
    ]


def _describe_point(evidence: Evidence, domain: Domain) -> Document:
    if evidence.judge:
        rate = evidence.judge.describe_detection_rate(evidence.sample, domain.members)
        return {**_describe_set(evidence, domain), "detection_rate": rate}
    rate = {
        **write_interval(detection_rate(evidence.sample, domain)),
        "kind": evidence.sample.kind,
    }
    if evidence.worst:
        outside, inside = worst_detection_shares(*evidence.worst, domain.members)
        rate["if_unsure_are"] = {"errors_outside": outside, "errors_inside": inside}
    return {**_describe_set(evidence, domain), "detection_rate": rate}


def _describe_set(evidence: Evidence, domain: Domain) -> Document:
    sample, members = evidence.sample, domain.members
    document: Document = {
        "flagged": int(members.sum()),
        "judged": int(domain.n_judged.sum()),
        "errors": int(domain.n_errors.sum()),
        "unsure": int(members[evidence.truth.unsure].sum()),
        "precision": write_interval(precision(sample, domain, method=evidence.intervals)),
    }
    if evidence.judge:
        document["precision"] = evidence.judge.describe_precision(sample, members)
    elif evidence.worst and document["unsure"]:
        bounds = [precision(worst, members).estimate for worst in evidence.worst]
        document["precision"]["if_unsure_are"] = {"correct": bounds[0], "errors": bounds[1]}
    return document


def _describe_overlap(evidence: Evidence, a: str, b: str) -> Document:
    by_a, by_b = evidence.population.flagged_by(a), evidence.population.flagged_by(b)
    return {
        "a": a,
        "b": b,
        "cells": {
            name: _describe_set(evidence, Domain.of(evidence.sample, members))
            for name, members in (
                ("a_only", by_a & ~by_b),
                ("both", by_a & by_b),
                ("b_only", by_b & ~by_a),
            )
        },
        "difference": {
            **write_interval(precision_difference(evidence.sample, by_a, by_b)),
            "detection_rate": {
                **write_interval(detection_difference(evidence.sample, by_a, by_b)),
                "kind": evidence.sample.kind,
            },
        },
    }
