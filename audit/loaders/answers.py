"""The answers of a file of questions: letters, indices or texts, the same way in every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.loaders.base import ProblemList
from audit.loaders.class_names import STRICT_INDEX

FORMS = ("letter", "index", "text")
_NONE = -1


@dataclass(frozen=True, slots=True)
class Choices:
    """The texts of a question's choices and their letters, ``own`` where the file names them."""

    texts: tuple[str, ...]
    letters: tuple[str, ...]
    own: bool = False


@dataclass(slots=True)
class _Given:
    """One row's answer: its place among the choices if it is read in each of ``FORMS``."""

    row: int
    shown: str
    n_choices: int
    places: tuple[int, int, int]
    number: int | None


@dataclass(slots=True)
class AnswerColumn:
    """Answers of one field, kept until all are known: only then is it clear how they are meant.

    "2" may be the third choice or the one that reads "2"; a file of letters settles it.
    """

    name: str
    given: list[_Given] = field(default_factory=list)
    has_own_letters: bool = False

    def add(self, row: int, value: Any, choices: Choices) -> None:
        """Take in a row's answer."""
        self.has_own_letters |= choices.own
        text, number = _NONE, _read_number(value)
        letter = choices.letters.index(str(value)) if _names(value, choices.letters) else _NONE
        if isinstance(value, str) and value in choices.texts:
            text = choices.texts.index(value)
        n_choices = len(choices.texts)
        index = number if number is not None and 0 <= number < n_choices else _NONE
        self.given.append(_Given(row, ascii(value)[:60], n_choices, (letter, index, text), number))

    def settle(self, problems: ProblemList) -> list[int]:
        """Return every answer's place among its choices, or note which can't be read."""
        fits = [
            form
            for form, _name in enumerate(FORMS)
            if all(each.places[form] != _NONE for each in self.given)
        ]
        if not fits:
            self._explain(problems)
            return [_NONE] * len(self.given)
        first, *others = fits
        for other in others:
            differs = (each for each in self.given if each.places[first] != each.places[other])
            if not (first == 0 and self.has_own_letters) and (each := next(differs, None)):
                message = (
                    f"every {self.name} is {_article(FORMS[first])} and {_article(FORMS[other])} "
                    f"alike, and {each.shown} means two choices; write letters"
                )
                problems.add(each.row, self.name, "ambiguous_name", message)
                break
        return [each.places[first] for each in self.given]

    def notices(self) -> tuple[str, ...]:
        """Return what looks odd about all answers together."""
        if self.given and all(each.places[0] == _NONE for each in self.given):
            numbers = [each.number for each in self.given if each.number is not None]
            if len(numbers) == len(self.given) > 1 and min(numbers) == 1:
                return (f"no {self.name} is 0: are they counted from 1?",)
        return ()

    def _explain(self, problems: ProblemList) -> None:
        numbers = [each.number for each in self.given]
        if all(number is not None for number in numbers):
            fits = (1 <= (each.number or 0) <= each.n_choices for each in self.given)
            if all(fits):
                largest = max(self.given, key=lambda each: each.number or 0)
                message = (
                    f"every {self.name} lies between 1 and the number of choices; count from 0"
                )
                problems.add(largest.row, self.name, "label_base", message)
                return
        counts = [sum(each.places[form] != _NONE for each in self.given) for form in range(3)]
        usual = counts.index(max(counts))
        for each in self.given:
            if each.places[usual] != _NONE:
                continue
            elsewhere = f"; elsewhere it is {_article(FORMS[usual])}" if max(counts) else ""
            code = "label_range" if each.number is not None and usual == 1 else "label"
            message = (
                f"{each.shown} is no letter, index (from 0) or text of one of its "
                f"{each.n_choices} choices"
                if max(each.places) == _NONE
                else f"{each.shown} is not {_article(FORMS[usual])}"
            )
            if each.number == -1:
                elsewhere = "; splits without published answers have it"
            problems.add(each.row, self.name, code, f"{message}{elsewhere}")


def _names(value: Any, letters: Sequence[str]) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value) in letters


def _read_number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    is_index = isinstance(value, str) and STRICT_INDEX.fullmatch(value)
    return int(value) if is_index else None


def _article(form: str) -> str:
    return f"an {form}" if form == "index" else f"a {form}"
