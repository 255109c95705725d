"""Experts: models named by text, loaded on demand, that turn inputs into logits."""

from scoring.experts.base import (
    ExpertCard,
    ExpertRefused,
    ImageExpert,
    UnknownExpertError,
)
from scoring.experts.registry import load_expert, parse_expert

__all__ = [
    "ExpertCard",
    "ExpertRefused",
    "ImageExpert",
    "UnknownExpertError",
    "load_expert",
    "parse_expert",
]
