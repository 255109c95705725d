"""A judge model's word on every item beside people's verdicts on a sample: read, and described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.models import Audit
from reviews.models import JUDGE_PREFIX, VoteSource
from reviews.truths import VOTES, UnknownTruthError, load_truth
from scoring.arrays import Floats, Mask
from scoring.domain_estimates import UNKNOWN
from scoring.intervals import Interval
from scoring.judged_sample import JudgedSample
from scoring.judges import JudgedRate, judged_detection_rate, judged_rate

JUDGE = "judge:"
UNSURE = 0.5
"""The word on an item that the judge is unsure of: any number fixed beforehand keeps the corrected
figures unbiased."""


@dataclass(frozen=True, slots=True)
class JudgeWord:
    """What a judge says of each item, shape (n_items,): 1 = its label is an error, 0 = it isn't.

    ``is_covered``: which items the judge was asked about; elsewhere the word means nothing.
    """

    source: VoteSource
    word: Floats
    is_covered: Mask
    n_unsure: int

    def describe(self) -> dict[str, Any]:
        """Return who the judge is and how much it said."""
        return {
            "source": self.source.name,
            **self.source.parameters,
            "items": int(self.is_covered.sum()),
            "unsure": self.n_unsure,
        }

    def describe_precision(self, sample: JudgedSample, members: Mask) -> dict[str, Any]:
        """Return a set's share of errors by the judge, by people, and by both."""
        return self._describe(judged_rate, sample, members, needed=members)

    def describe_detection_rate(self, sample: JudgedSample, members: Mask) -> dict[str, Any]:
        """Return a set's share of all errors by the judge, by people, and by both."""
        everything = sample.is_known if sample.is_known.any() else sample.stratum >= 0
        rate = self._describe(judged_detection_rate, sample, members, needed=everything)
        return {**rate, "kind": sample.kind}

    def _describe(
        self,
        estimate: Callable[[JudgedSample, Floats, Mask], JudgedRate],
        sample: JudgedSample,
        members: Mask,
        *,
        needed: Mask,
    ) -> dict[str, Any]:
        """Write the rate; without a word on every item needed the judge can't be corrected.

        Which items it was asked about must have nothing to do with which ones people judge.
        """
        if not members.any():
            return {**write_interval(UNKNOWN), "judge_only": None, "people_only": None, "power": 0}
        rate = estimate(sample, self.word, members)
        is_complete = bool(self.is_covered[needed].all())
        return {
            **write_interval(rate.corrected if is_complete else UNKNOWN),
            "judge_only": rate.judge_only if is_complete else None,
            "people_only": write_interval(rate.people_only),
            "power": rate.power if is_complete else 0.0,
        }


def load_judge_word(audit: Audit, truth: str, policy: str) -> JudgeWord:
    """Return the word of the judge that ``judge:NAME`` means."""
    name = JUDGE_PREFIX + truth.removeprefix(JUDGE).removeprefix(JUDGE_PREFIX)
    judges = VoteSource.objects.filter(dataset=audit.dataset_id, kind=VoteSource.Kind.JUDGE)
    source = judges.filter(name=name).first()
    if source is None:
        known = ", ".join(list_judges(audit)) or "none"
        raise UnknownTruthError(f"{truth!r} is no judge of this audit; there are: {known}")
    said = load_truth(audit, f"{VOTES}{source.name}", policy)
    word = np.full(audit.dataset.n_items, UNSURE)
    word[said.judged] = said.is_error
    is_covered = np.zeros(word.size, dtype=np.bool_)
    is_covered[said.judged] = is_covered[said.unsure] = True
    return JudgeWord(source, word, is_covered, len(said.unsure))


def list_judges(audit: Audit) -> list[str]:
    """Return the truths ``judge:NAME`` that figures can be corrected with."""
    judges = VoteSource.objects.filter(dataset=audit.dataset_id, kind=VoteSource.Kind.JUDGE)
    names = judges.order_by("name").values_list("name", flat=True)
    return [JUDGE + name.removeprefix(JUDGE_PREFIX) for name in names]


def write_interval(interval: Interval) -> dict[str, Any]:
    """Return an estimate with its limits as JSON."""
    return {
        "estimate": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "census": interval.census,
    }
