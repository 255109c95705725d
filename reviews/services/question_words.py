"""What is said of one question besides people's verdicts: experts on every option, judge models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence import load_evidence
from audit.models import Audit, Item
from audit.score_store import ScoreStoreError, open_scores
from reviews.models import QuestionVerdict, Vote, VoteSource
from scoring.option_probabilities import calibrated_probabilities, raw_probabilities

LONGEST_REPLY = 2000
BY_TEMPERATURE = frozenset({"temperature", "none"})


@dataclass(frozen=True, slots=True)
class OptionWord:
    """One expert's probability of each option, before and after calibration; empty without."""

    expert: str
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """What a judge model answered: options that hold, or a word on the key; and its reply."""

    judge: str
    model: str
    labels: tuple[int, ...] | None
    verdict: str
    reply: str


def describe_options(audit: Audit, item: Item) -> tuple[OptionWord, ...]:
    """Return what every expert gives each option; scores that were moved away say nothing."""
    evidence = load_evidence(audit.pk)
    words = []
    for expert in audit.experts.select_related("score_set").order_by("order"):
        confidence = float(evidence.confidence[expert.order, item.position])
        raw: tuple[float, ...] = ()
        calibrated: tuple[float, ...] = ()
        logits = _read_logits(expert.score_set_id, item.position)
        if logits is not None and np.isfinite(confidence) and np.isfinite(logits).all():
            # An expert that can't be calibrated stays raw: at temperature 1, that is.
            is_raw = bool(expert.calibration.get("degenerate"))
            by_temperature = is_raw or audit.calibrator in BY_TEMPERATURE
            raw = tuple(raw_probabilities(logits).tolist())
            calibrated = tuple(
                calibrated_probabilities(logits, confidence, by_temperature=by_temperature).tolist()
            )
        words.append(OptionWord(expert.name, raw, calibrated))
    return tuple(words)


def _read_logits(score_set: int, position: int) -> np.ndarray | None:
    try:
        rows = open_scores(score_set)[position : position + 1]
    except ScoreStoreError:
        return None
    return np.asarray(rows[0], dtype=np.float64)


def find_judge_answers(item: Item) -> tuple[JudgeAnswer, ...]:
    """Return what judge models answered, if any was asked about the question."""
    votes = Vote.objects.filter(item=item, source__kind=VoteSource.Kind.JUDGE)
    return tuple(
        JudgeAnswer(
            vote.source.name,
            vote.annotator,
            None if vote.labels is None else tuple(vote.labels),
            str(QuestionVerdict(vote.verdict).label) if vote.verdict else "",
            vote.reply[:LONGEST_REPLY],
        )
        for vote in votes.select_related("source").order_by("source__name")
    )
