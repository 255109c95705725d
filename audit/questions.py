"""Questions: inspected once at import, as pictures are."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


class UnusableQuestion(Exception):  # noqa: N818 - the word used for it in reports and pages
    """A question that cannot be scored: a stable ``code`` and a ``detail`` for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def inspect_question(question: str, choices: Sequence[str]) -> None:
    """Raise ``UnusableQuestion`` for a question whose key can't mean anything.

    Text is compared as it is: ``None`` and ``NA`` are answers like any other.
    """
    if _is_blank(question):
        raise UnusableQuestion("empty_question", "the question has no text")
    for place, choice in enumerate(choices):
        letter = chr(ord("A") + place)
        if _is_blank(choice):
            raise UnusableQuestion("missing_option", f"option {letter} has no text")
        if choice in choices[:place]:
            same = chr(ord("A") + list(choices).index(choice))
            raise UnusableQuestion("duplicate_option", f"options {same} and {letter} are the same")


def _is_blank(text: str) -> bool:
    return all(sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"} for sign in text)
