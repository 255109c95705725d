"""Template filters for what people say: verdicts in words."""

from __future__ import annotations

from string import ascii_uppercase

from django import template

from reviews.models import QuestionVerdict, Verdict

register = template.Library()
NAMES = dict(QuestionVerdict.choices) | dict(Verdict.choices)


@register.filter
def verdict_name(verdict: str) -> str:
    """Write a verdict's stored value as people read it."""
    return NAMES.get(verdict, verdict)


@register.filter
def letter(option: int) -> str:
    """Write an option's place, from 0, as the letter it is called by."""
    return ascii_uppercase[option]
