"""Template filters for figures: how numbers, times, sizes and method names are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django import template

from audit.methods import name_method, name_score

register = template.Library()

NOTHING = "\N{EN DASH}"
UNITS = ("B", "kB", "MB", "GB", "TB")


def is_number(value: Any) -> bool:
    """Whether there is a finite number to write."""
    return isinstance(value, int | float) and math.isfinite(value)


@register.filter
def percent(value: Any, digits: int = 1) -> str:
    """Write .0713 as "7.1 %"."""
    return f"{100 * value:.{digits}f} %" if is_number(value) else NOTHING


@register.filter
def fraction(value: Any, digits: int = 3) -> str:
    """Write .2617 as ".262", as the paper does; 1 stays "1.000"."""
    if not is_number(value):
        return NOTHING
    written = f"{value:.{digits}f}"
    return written.replace("0.", ".", 1) if written.startswith(("0.", "-0.")) else written


@register.filter
def pvalue(value: Any) -> str:
    """Write a p-value with two figures, tiny ones as a bound."""
    if not is_number(value):
        return NOTHING
    return "< .0001" if value < 0.0001 else fraction(value, 4 if value < 0.01 else 2)


@register.filter
def thousands(value: Any) -> str:
    """Write 50000 as "50,000"."""
    return f"{value:,.0f}" if is_number(value) else NOTHING


@register.filter
def interval(estimate: Any, digits: int = 2) -> str:
    """Write something with `low` and `high` as .91 - .95; a census as "all judged"."""
    if isinstance(estimate, Mapping):
        low, high, census = (estimate.get(part) for part in ("low", "high", "census"))
    else:
        low, high, census = (getattr(estimate, part, None) for part in ("low", "high", "census"))
    if not (is_number(low) and is_number(high)):
        return NOTHING
    if census:
        return "all judged"
    # A dash before a minus sign can't be read.
    between = "to" if isinstance(low, float) and low < 0 else NOTHING
    return f"{fraction(low, digits)} {between} {fraction(high, digits)}"


@register.filter
def duration(seconds: Any) -> str:
    """Write a number of seconds in its two largest units: "3 min 20 s"."""
    if not is_number(seconds):
        return NOTHING
    if seconds < 1:
        return "under a second"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number)


@register.filter(name="bytes")
def write_bytes(size: Any) -> str:
    """Write a number of bytes in decimal units: "200 MB"."""
    if not is_number(size):
        return NOTHING
    power = 0
    while size >= 999.5 and power < len(UNITS) - 1:
        size /= 1000
        power += 1
    return f"{size:.3g} {UNITS[power]}"


@register.filter
def lookup(values: Any, key: Any) -> Any:
    """Return values[key] of a mapping or a list, None where there is no such key."""
    try:
        return values[key]
    except (KeyError, IndexError, TypeError):
        return None


@register.filter
def method_name(method: str) -> str:
    """Write a method's stable name in words."""
    return name_method(method)


@register.filter
def score_name(method: str) -> str:
    """Write what a method ranks by."""
    return name_score(method)


@register.filter
def option(choices: Any, place: Any) -> str:
    """Return the text of the option at ``place``; nothing where there is none, as for pictures."""
    is_there = isinstance(place, int) and 0 <= place < len(choices)
    return str(choices[place]) if is_there else ""
