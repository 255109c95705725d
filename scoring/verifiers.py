"""Verifiers: whether a written answer is right (Section 2.1). They read text and never run it.

An answer that can't be read is a wrong answer, as in the published benchmarks; a program's
correctness has to come from wherever it may safely run.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from string import ascii_uppercase

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
# A minus between two numbers subtracts; a comma groups thousands only where three digits follow.
_NUMBER = re.compile(rf"(?P<sign>(?<![\w.)])[-\N{{MINUS SIGN}}])?\$?(?P<digits>{_DIGITS})")
_MARKED = re.compile(r"####(?P<answer>[^\n]*)")

_LONE_LETTER = re.compile(r"[\W_]*(?P<letter>[A-Z])[\W_]*")
_FIRST_LETTER = re.compile(r"\W*(?P<letter>[A-Z])\s*[.:)]")
_NAMED_LETTER = re.compile(
    r"\b[Aa]nswer(?:\s+is)?\s*:?\s*\W{0,3}(?P<letter>[A-Z])(?![\w'])(?!\s+[a-z])"
)


def read_number(text: str) -> Decimal | None:
    """Return the number that ``text`` ends up with.

    It stands after the last ``####`` with a number behind it, or, without such marks, last of all.
    Currency signs and commas between thousands don't count; None where there is no number.
    """
    marked = _MARKED.findall(text)
    if not marked:
        return _last_value(_NUMBER.finditer(text))
    return _last_value(match for answer in marked if (match := _NUMBER.search(answer)))


def _last_value(found: Iterable[re.Match[str]]) -> Decimal | None:
    last = deque(found, maxlen=1)
    if not last:
        return None
    value = Decimal(last[0]["digits"].replace(",", ""))
    return -value if last[0]["sign"] else value


def read_letter(text: str) -> str | None:
    """Return the capital letter that ``text`` answers with, None where that isn't clear.

    Understood are a lone letter ("B", "(B)", "**B**."), a letter before a text ("B. Paris"), and
    the last "answer is B" or "Answer: B".
    """
    for match in (
        _LONE_LETTER.fullmatch(text),
        _FIRST_LETTER.match(text),
        *reversed(list(_NAMED_LETTER.finditer(text))),
    ):
        if match is not None:
            return match["letter"]
    return None


def read_option(text: str, choices: Sequence[str]) -> int | None:
    """Return the place of the choice that ``text`` answers with, None where that isn't clear.

    Its letter or, alone, its own text.
    """
    if letter := read_letter(text):
        place = ascii_uppercase.index(letter)
        return place if place < len(choices) else None
    said = text.strip().rstrip(".").casefold()
    same = [place for place, choice in enumerate(choices) if choice.strip().casefold() == said]
    return same[0] if len(same) == 1 else None


def verify_number(answer: str, reference: str) -> bool:
    """Return whether ``answer`` ends up with the very number that ``reference`` does.

    Raises ``ValueError`` when the reference holds no number: nothing could be right.
    """
    expected = read_number(reference)
    if expected is None:
        raise ValueError(f"the reference holds no number: {reference[:60]!r}")
    return read_number(answer) == expected


def verify_option(answer: str, choices: Sequence[str], right: int) -> bool:
    """Return whether ``answer`` names the choice at place ``right``."""
    return read_option(answer, choices) == right
