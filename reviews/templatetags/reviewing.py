"""Template filters for what people say: verdicts in words, code in descriptions."""

from __future__ import annotations

from string import ascii_uppercase

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

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


@register.filter
def with_code(text: str) -> SafeString:
    """Set what stands between back-quotes as code; everything is escaped."""
    plain, *rest = text.split("`")
    pairs = zip(rest[::2], [*rest[1::2], ""], strict=False)
    return format_html("{}{}", plain, format_html_join("", "<code>{}</code>{}", pairs))
