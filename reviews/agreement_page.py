"""Everything the agreement page shows: rows to arrays to numbers. No arithmetic here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from audit.models import Audit
from reviews.agreements import N_COMPARED, Votes
from reviews.gold_figures import GoldFigures, gold_figures, trainings
from reviews.judge_words import write_interval
from reviews.models import Judgment, QuestionVerdict, Verdict
from reviews.reports import Evidence, gather_evidence
from reviews.truths import JUDGMENTS
from scoring.agreement import NO_VOTE, category_confusion, rogan_gladen
from scoring.agreement_intervals import agreement_intervals, kappa_interval
from scoring.arrays import Ints
from scoring.domain_estimates import precision
from scoring.intervals import Interval

SEED = 11
"""One seed for all resampling: the same votes must give the same page."""

NAMES = {**dict(QuestionVerdict.choices), **dict(Verdict.choices)}
ORDER = [verdict for verdict in NAMES if verdict != Verdict.WITHDRAWN]


def describe_audit_agreement(audit: Audit, policy: str, *, corrected: bool) -> dict[str, Any]:
    """Return agreement, confusion, gold and - only if asked for - corrected precision."""
    evidence = gather_evidence(audit, JUDGMENTS, policy)
    votes = evidence.truth.votes
    overall, people = gold_figures(audit, policy)
    document: dict[str, Any] = {
        "policy": str(policy),
        "annotators": len(votes.annotators),
        "votes": int(votes.is_error.size),
        "coefficients": _describe_coefficients(votes),
        "pairs": _describe_pairs(votes),
        "categories": _describe_categories(audit),
        "gold": [_write_gold(each) for each in (*people, overall) if people],
        "trainings": [
            {"name": str(each.annotator), "items": each.n_items, "right": each.n_right}
            for each in trainings(audit)
        ],
        "can_correct": bool(overall.n_errors and overall.n_correct),
        "corrected": None,
    }
    if corrected and document["can_correct"]:
        document["corrected"] = _describe_corrected(audit, evidence, overall)
    return document


def _describe_coefficients(votes: Votes) -> list[dict[str, Any]]:
    found = agreement_intervals(votes.by_item(), 2, rng=np.random.default_rng(SEED))
    named = (
        ("raw agreement", found.raw),
        ("Krippendorff's alpha", found.krippendorff_alpha),
        ("Gwet's AC1", found.gwet_ac1),
    )
    return [{"name": name, "n": found.n_items, **_write(interval)} for name, interval in named]


def _describe_pairs(votes: Votes) -> list[dict[str, Any]]:
    """Return Cohen's kappa of every two of the annotators with most votes."""
    n_votes = np.bincount(votes.annotator, minlength=len(votes.annotators))
    chosen = np.sort(np.argsort(-n_votes, kind="stable")[:N_COMPARED])
    columns = votes.by_annotator(chosen).T
    pairs = []
    for one in range(chosen.size):
        for other in range(one + 1, chosen.size):
            a, b = columns[one], columns[other]
            n_shared = int(((a != NO_VOTE) & (b != NO_VOTE)).sum())
            if n_shared:
                kappa = kappa_interval(a, b, rng=np.random.default_rng(SEED))
                names = votes.annotators[chosen[one]], votes.annotators[chosen[other]]
                pairs.append({"a": names[0], "b": names[1], "n": n_shared, **_write(kappa)})
    return pairs


def _describe_categories(audit: Audit) -> dict[str, Any]:
    """Return which categories meet on the same items, unsure among them.

    ``levels``: how dark a cell is drawn, 0 to 4, by its share of the row.
    """
    matrix, used = _read_categories(audit)
    table = category_confusion(matrix, len(used)) if used else np.zeros((0, 0))
    sums = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, sums, out=np.zeros_like(table), where=sums > 0)
    return {
        "names": [NAMES[verdict] for verdict in used],
        "rows": [
            {
                "name": NAMES[verdict],
                "cells": [
                    {"weight": float(weight), "share": float(share), "level": int(share * 4 + 0.5)}
                    for weight, share in zip(table[place], shares[place], strict=True)
                ],
            }
            for place, verdict in enumerate(used)
        ],
        "votes": float(table.sum()),
    }


def _read_categories(audit: Audit) -> tuple[Ints, list[str]]:
    """Return the verdicts that curves rest on, (n_items, most votes on one), and their names."""
    rows = Judgment.objects.counted().filter(slot__sample__audit=audit).order_by("pk")
    by_item: defaultdict[int, list[str]] = defaultdict(list)
    for item, verdict in rows.values_list("slot__sampled_item", "verdict"):
        by_item[item].append(verdict)
    several = [said for said in by_item.values() if len(said) > 1]
    used = [verdict for verdict in ORDER if any(verdict in said for said in several)]
    number = {verdict: place for place, verdict in enumerate(used)}
    width = max((len(said) for said in several), default=0)
    matrix = np.full((len(several), width), NO_VOTE, dtype=np.int64)
    for place, said in enumerate(several):
        matrix[place, : len(said)] = [number[verdict] for verdict in said]
    return matrix, used


def _describe_corrected(
    audit: Audit, evidence: Evidence, gold: GoldFigures
) -> list[dict[str, Any]] | str:
    """Return the top-k sets' precision as judged and as Rogan and Gladen correct it.

    It takes every decided item for one vote of an annotator as good as all are on gold.
    """
    sets = {
        k: evidence.population.top_bins(k)
        for k in range(1, audit.n_bins + 1)
        if (evidence.population.bin_rank == k).any()
    }
    rows = []
    for k, members in sets.items():
        seen = precision(evidence.sample, members)
        n_judged = int(members[evidence.sample.judged].sum())
        if seen.estimate is None:
            continue
        try:
            right = rogan_gladen(
                seen.estimate,
                n_judged,
                gold.n_found / gold.n_errors,
                gold.n_errors,
                gold.n_cleared / gold.n_correct,
                gold.n_correct,
            )
        except ValueError as error:
            return str(error)
        rows.append({"k": k, "judged": n_judged, "seen": _write(seen), "corrected": _write(right)})
    return rows


def _write(interval: Interval) -> dict[str, Any]:
    return {**write_interval(interval), "is_defined": interval.estimate is not None}


def _write_gold(figures: GoldFigures) -> dict[str, Any]:
    return {
        "name": figures.name,
        "unsure": figures.n_unsure,
        "sensitivity": {"n": figures.n_errors, **_write(figures.sensitivity)},
        "specificity": {"n": figures.n_correct, **_write(figures.specificity)},
    }


def table_rows(document: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield everything on the page as rows of one table."""
    yield ("figure", "of", "and", "n", "estimate", "low", "high")
    for each in document["coefficients"]:
        yield (each["name"], "all", "", *_numbers(each))
    for pair in document["pairs"]:
        yield ("Cohen's kappa", pair["a"], pair["b"], *_numbers(pair))
    for gold in document["gold"]:
        for name in ("sensitivity", "specificity"):
            yield (name, gold["name"], "", *_numbers(gold[name]))
    for training in document["trainings"]:
        yield ("training right", training["name"], "", training["items"], training["right"], "", "")
    yield from _confusion_rows(document)
    yield from _corrected_rows(document)


def _confusion_rows(document: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    names = document["categories"]["names"]
    for row in document["categories"]["rows"]:
        for name, cell in zip(names, row["cells"], strict=True):
            yield ("confusion", row["name"], name, cell["weight"], cell["share"], "", "")


def _corrected_rows(document: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    if not isinstance(document["corrected"], list):
        return
    for row in document["corrected"]:
        for name in ("seen", "corrected"):
            interval = {"n": row["judged"], **row[name]}
            yield (f"precision {name}", f"k={row['k']}", "", *_numbers(interval))


def _numbers(figure: dict[str, Any]) -> tuple[Any, ...]:
    if not figure["is_defined"]:
        return (figure["n"], "", "", "")
    return (figure["n"], figure["estimate"], figure["low"], figure["high"])
