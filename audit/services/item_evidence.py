"""What an audit knows of one item: every expert's word, every method's flag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.evidence import Evidence
from audit.models import Audit, DatasetClass, Item


@dataclass(frozen=True, slots=True)
class ExpertWord:
    """What one expert says about one item; numbers are None where it has no score."""

    name: str
    top1: DatasetClass | None
    has_score: bool
    agrees_with_label: bool
    confidence: float | None
    raw_confidence: float | None
    given_probability: float | None


def expert_words(
    audit: Audit, item: Item, evidence: Evidence, classes: Mapping[int, DatasetClass]
) -> Iterator[ExpertWord]:
    """Read what every expert of the audit said about one item."""
    for expert in audit.experts.select_related("score_set"):
        place = expert.order, item.position
        top1 = int(evidence.top1[place])
        yield ExpertWord(
            name=expert.name,
            top1=classes.get(top1),
            has_score=top1 >= 0,
            agrees_with_label=top1 == item.given_label,
            confidence=_finite(evidence.confidence[place]),
            raw_confidence=_finite(evidence.raw_confidence[place]),
            given_probability=_finite(evidence.given_probability[place]),
        )


def _finite(value: np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None
