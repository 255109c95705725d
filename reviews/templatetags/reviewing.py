"""Template filters for what people say: verdicts in words."""

from __future__ import annotations

from django import template

from reviews.models import QuestionVerdict, Verdict

register = template.Library()
NAMES = dict(QuestionVerdict.choices) | dict(Verdict.choices)


@register.filter
def verdict_name(verdict: str) -> str:
    """Write a verdict's stored value as people read it."""
    return NAMES.get(verdict, verdict)
