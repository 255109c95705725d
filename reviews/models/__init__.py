"""What the reviews app stores, one file per subject."""

from reviews.models.judgments import Judgment, Verdict
from reviews.models.releases import Policy, Release
from reviews.models.samples import ReviewSlot, Sample, SampledItem, Stratum
from reviews.models.votes import QuestionVerdict, Vote, VoteSource

__all__ = [
    "Judgment",
    "Policy",
    "QuestionVerdict",
    "Release",
    "ReviewSlot",
    "Sample",
    "SampledItem",
    "Stratum",
    "Verdict",
    "Vote",
    "VoteSource",
]
