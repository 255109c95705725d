"""What the reviews app stores, one file per subject."""

from reviews.models.adjudications import QUESTION_RULINGS, RULINGS, Adjudication
from reviews.models.gold import MOST_TRAINING, KnownItem, QualityPlan, Training
from reviews.models.judgments import (
    Judgment,
    Mode,
    Referral,
    Reveal,
    Severity,
    Stage,
    Verdict,
)
from reviews.models.preferences import DeskPreference
from reviews.models.releases import Policy, Release, StoredPolicy
from reviews.models.samples import (
    ReviewSlot,
    Sample,
    SampledClass,
    SampledItem,
    Stratum,
)
from reviews.models.votes import (
    JUDGE_PREFIX,
    KEY_CHANGES,
    UNCLEAR,
    QuestionVerdict,
    Vote,
    VoteSource,
)

__all__ = [
    "JUDGE_PREFIX",
    "KEY_CHANGES",
    "MOST_TRAINING",
    "QUESTION_RULINGS",
    "RULINGS",
    "UNCLEAR",
    "Adjudication",
    "DeskPreference",
    "Judgment",
    "KnownItem",
    "Mode",
    "Policy",
    "QualityPlan",
    "QuestionVerdict",
    "Referral",
    "Release",
    "Reveal",
    "ReviewSlot",
    "Sample",
    "SampledClass",
    "SampledItem",
    "Severity",
    "Stage",
    "StoredPolicy",
    "Stratum",
    "Training",
    "Verdict",
    "Vote",
    "VoteSource",
]
