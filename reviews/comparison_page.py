"""What the page that compares methods is asked for in its address, and what it then shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from audit.methods import CALIBRATED_ENSEMBLE, name_method
from audit.models import Audit, Dataset
from reviews.decisions import WORDS
from reviews.headlines import tell_headline, tell_trend
from reviews.judge_words import JUDGE, list_judges
from reviews.models import JUDGE_PREFIX, Policy, Sample
from reviews.policies import BUILT_IN, CUSTOM, PolicyError, find_policy, list_policies
from reviews.policy_words import categories_of
from reviews.reports import LEAST_AT, PRECISION_TARGET, Document
from reviews.truths import JUDGMENTS, VOTES, list_truths

CONFIDENCE = 0.95
COMPARED_WITH = "confident_learning"
"""The paper's Table 3 compares its method with this one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One position of a switch on the page."""

    label: str
    query: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Category:
    """A category of error, and whether the policy counts it."""

    name: str
    label: str
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far people are with the sample."""

    sample: Sample
    n_judged: int
    n_slots: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which figures the page shows; ``other``: the method that the first one is compared with.

    ``target`` and ``confidence`` are those of the largest k that keeps a precision.
    """

    truth: str = JUDGMENTS
    policy: str = Policy.LENIENT.value
    target: float = PRECISION_TARGET
    confidence: float = CONFIDENCE
    other: str = COMPARED_WITH

    @property
    def query(self) -> str:
        """The address of these figures, without what is as usual."""
        usual = Wanted()
        kept = {
            "target": f"{self.target:g}" if self.target != usual.target else "",
            "confidence": f"{self.confidence:g}" if self.confidence != usual.confidence else "",
            "other": self.other if self.other != usual.other else "",
        }
        said = {"truth": self.truth, "policy": self.policy, **kept}
        return urlencode({name: value for name, value in said.items() if value})


def read_wanted(said: QueryDict, audit: Audit) -> Wanted:
    """Read the address; what makes no sense falls back to the usual: links must not break."""
    return Wanted(
        truth=said.get("truth") or JUDGMENTS,
        policy=_read_policy(said, audit),
        target=_read_share(said.get("target", ""), PRECISION_TARGET),
        confidence=next(
            (level for level in LEAST_AT if f"{level:g}" == said.get("confidence")), CONFIDENCE
        ),
        other=said.get("other") or COMPARED_WITH,
    )


def _read_policy(said: QueryDict, audit: Audit) -> str:
    name = said.get("policy") or Policy.LENIENT.value
    if name in BUILT_IN:
        return name
    if name == CUSTOM.rstrip(":"):
        name = CUSTOM + ",".join(said.getlist("error"))
    if name.startswith(CUSTOM):
        try:
            return find_policy(name, audit.dataset.project_id).name
        except PolicyError:
            return Policy.LENIENT.value
    return name if name in list_policies(audit.dataset.project_id) else Policy.LENIENT.value


def _read_share(text: str, otherwise: float) -> float:
    try:
        share = float(text)
    except ValueError:
        return otherwise
    return share if 0 < share < 1 else otherwise


def describe_page(audit: Audit, wanted: Wanted, report: Document) -> dict[str, Any]:
    """Return everything that the page shows beside the report itself."""
    described = report["methods"].get(CALIBRATED_ENSEMBLE)
    k = largest_k(described, wanted) if described else 0
    first_k = k or (len(described["points"]) if described else 0)
    pairs = {pair["b"]: pair for pair in report["overlap"]}
    pair = pairs.get(wanted.other) or next(iter(pairs.values()), None)
    headline = tell_headline(report)
    return {
        "report": report,
        "query": wanted.query,
        "headline": headline,
        "shown_methods": {*list(report["methods"])[:1], *headline.ahead[:1], pair and pair["b"]},
        "trend": tell_trend(described["trend"]) if described else "",
        "truths": _list_truth_choices(audit, wanted),
        "policies": _list_policy_choices(audit, wanted),
        "categories": _list_categories(audit, wanted),
        "is_custom": wanted.policy.startswith(CUSTOM),
        "names": {method: name_method(method) for method in report["methods"]},
        "pair": pair,
        "others": [
            Choice(name_method(other), other, pair is not None and other == pair["b"])
            for other in pairs
        ],
        "differences": [
            row
            for row in report["equal_detection"]
            if pair and (row["a"], row["b"]) == (pair["a"], pair["b"])
        ],
        "shade_note": "95 % intervals" if report["judge"] else "95 % band",
        "largest_k": k,
        "levels": [(f"{level:g}", f"{level:.0%}") for level in LEAST_AT],
        "chosen_level": f"{wanted.confidence:g}",
        "first_k": first_k,
        "first_point": described["points"][first_k - 1] if described else None,
        "progress": find_progress(audit, report),
    }


def largest_k(described: Mapping[str, Any], wanted: Wanted) -> int:
    """Return the largest k such that the top 1, 2, .. k bins all keep the precision asked for.

    The sets are tested in a fixed order up to the first failure, so no correction is needed.
    """
    least = described["least"][str(wanted.confidence)]
    for place, limit in enumerate(least):
        if limit is None or limit < wanted.target:
            return place
    return len(least)


def find_progress(audit: Audit, report: Document) -> Progress | None:
    """Return how far people are with the audit's sample, None without one."""
    sample = Sample.objects.filter(audit=audit).first()
    if sample is None:
        return None
    return Progress(sample, report["votes_in"], sample.n_votes)


def _list_truth_choices(audit: Audit, wanted: Wanted) -> list[Choice]:
    truths = [*list_truths(audit.dataset), *list_judges(audit)]
    return [
        Choice(_name_truth(truth), replace(wanted, truth=truth).query, truth == wanted.truth)
        for truth in truths
    ]


def _list_policy_choices(audit: Audit, wanted: Wanted) -> list[Choice]:
    return [
        Choice(policy, replace(wanted, policy=policy).query, policy == wanted.policy)
        for policy in list_policies(audit.dataset.project_id)
    ]


def _list_categories(audit: Audit, wanted: Wanted) -> list[Category]:
    policy = find_policy(wanted.policy, audit.dataset.project_id)
    return [
        Category(name, WORDS[name].lower(), name in policy.errors)
        for name in categories_of(has_questions=audit.dataset.kind == Dataset.Kind.MULTIPLE_CHOICE)
    ]


def _name_truth(truth: str) -> str:
    if truth.startswith(JUDGE):
        return f"people and {JUDGE_PREFIX}{truth.removeprefix(JUDGE)}"
    return truth.removeprefix(VOTES) if truth.startswith(VOTES) else "people's judgments"
