"""Experts: models named by text, loaded on demand, that turn inputs into logits."""

from scoring.experts.base import (
    Expert,
    ExpertCard,
    ExpertRefused,
    InputProblem,
    Question,
    SolvedQuestion,
    UnknownExpertError,
    UnscorableInputsError,
)
from scoring.experts.registry import load_expert, parse_expert

__all__ = [
    "Expert",
    "ExpertCard",
    "ExpertRefused",
    "InputProblem",
    "Question",
    "SolvedQuestion",
    "UnknownExpertError",
    "UnscorableInputsError",
    "load_expert",
    "parse_expert",
]
