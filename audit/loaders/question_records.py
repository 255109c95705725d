"""Multiple-choice questions as data sets spell them: records of any shape in, items out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from audit.loaders.answers import AnswerColumn, Choices
from audit.loaders.base import ProblemList, refuse
from audit.loaders.class_names import find_name_fault
from audit.loaders.item_fields import MAX_SUBJECT_CHARACTERS, KeyReader
from audit.loaders.rows import MAX_COLUMNS

# Compared without case and underscores: answerKey, answer_key and AnswerKey are one.
QUESTIONS = ("question", "query", "stem", "prompt", "ctx")
CHOICES = ("choices", "options", "endings")
ANSWERS = ("answer", "answerkey", "answerindex", "answeridx", "label", "gold", "target", "cop")
SUBJECTS = ("subject", "category", "topic")
KEYS = ("key", "id", "questionid", "qid")

_ONE_CHOICE = re.compile(r"(?:option|choice|op)?([a-z])")


@dataclass(frozen=True, slots=True)
class _Names:
    """Which field of a record holds what; None and empty where none does."""

    question: str | None
    choices: str | None
    choice_fields: tuple[str, ...]
    answers: tuple[str, ...]
    subject: str | None
    key: str | None
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadQuestion:
    """A question without its answer, which the whole file settles."""

    key: str
    subject: str
    question: str
    choices: tuple[str, ...]


@dataclass(slots=True)
class QuestionReader:
    """Takes in the records of one split, file by file, and finds out what their answers mean.

    ``split`` is the middle of the keys of questions that bring none of their own. ``questions``
    and their ``answers`` are complete once the last file is closed.
    """

    problems: ProblemList
    split: str = ""
    n_choices: int = 0
    questions: list[ReadQuestion] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    _columns: dict[str, AnswerColumn] = field(default_factory=dict)
    _keys: KeyReader = field(default_factory=KeyReader)
    _per_subject: Counter[str] = field(default_factory=Counter)
    _names: dict[tuple[str, ...], _Names] = field(default_factory=dict)
    _unread: dict[str, None] = field(default_factory=dict)

    def add(self, row: int, record: Mapping[str, Any]) -> None:
        """Take in one record, or note what is wrong with it."""
        inner = record.get("question")
        if isinstance(inner, dict):  # ARC's own: {"question": {"stem", "choices"}, "answerKey"}
            record = {name: record[name] for name in record if name != "question"} | inner
        if len(record) > MAX_COLUMNS:
            message = f"{len(record)} fields, at most {MAX_COLUMNS} are read"
            raise refuse("too_many_columns", message, row=row)
        names = self._find_names(record)
        question = record.get(names.question or "")
        if not isinstance(question, str):
            shown = f"{ascii(question)[:60]} is not text" if names.question else _missing(record)
            self.problems.add(row, names.question or "question", "missing_column", shown)
            return
        choices = self._read_choices(row, record, names)
        subject = self._read_subject(row, record, names)
        if choices is None or subject is None:
            return
        key = self._read_key(row, record, names, subject)
        if key is None or not self._add_answers(row, record, names, choices):
            return
        self.n_choices = max(self.n_choices, len(choices.texts))
        self.questions.append(ReadQuestion(key, subject, question, choices.texts))

    def close_file(self) -> None:
        """Settle the answers of the file whose records were taken in last."""
        columns, self._columns = list(self._columns.values()), {}
        settled = [column.settle(self.problems) for column in columns]
        for column, places in zip(columns[1:], settled[1:], strict=True):
            for given, place, first in zip(column.given, places, settled[0], strict=True):
                if min(place, first) >= 0 and place != first:
                    message = f"{given.shown} is another choice than its {columns[0].name} says"
                    self.problems.add(given.row, column.name, "label", message)
        self.answers += settled[0] if settled else []
        odd = (notice for column in columns for notice in column.notices())
        self.notices = list(dict.fromkeys((*self.notices, *odd)))

    @property
    def unread(self) -> str:
        """The names of fields that aren't read, to be told."""
        shown = ", ".join(ascii(name[:60])[1:-1] for name in list(self._unread)[:10])
        return f"{shown} ..." if len(self._unread) > 10 else shown

    def _find_names(self, record: Mapping[str, Any]) -> _Names:
        fields = tuple(record)
        if fields not in self._names:
            names = self._names[fields] = _name_fields(fields)
            self._unread |= dict.fromkeys(names.unread)
        return self._names[fields]

    def _read_choices(self, row: int, record: Mapping[str, Any], names: _Names) -> Choices | None:
        if names.choices is None and not names.choice_fields:
            self.problems.add(row, "choices", "missing_column", _missing(record))
            return None
        if names.choices is not None:
            texts, letters = _take_apart(record[names.choices])
        else:
            values = [record[name] for name in names.choice_fields]
            while values and values[-1] is None:  # a table has null where a question has fewer
                values.pop()
            texts, letters = values, None
        column = names.choices or names.choice_fields[0]
        if texts is None or not all(isinstance(text, str) for text in texts):
            message = 'choices are texts, such as ["yes", "no"], or texts with labels'
            self.problems.add(row, column, "choices", message)
            return None
        if not 2 <= len(texts) <= len(ascii_uppercase):
            message = f"{len(texts)} choices; 2 to {len(ascii_uppercase)} are allowed"
            self.problems.add(row, column, "choice_count", message)
            return None
        if letters is not None and (len(set(letters)) != len(texts) or len(letters) != len(texts)):
            message = f"{len(texts)} choices with {len(set(letters))} different labels"
            self.problems.add(row, column, "choices", message)
            return None
        named = tuple(letters or ascii_uppercase[: len(texts)])
        return Choices(tuple(texts), named, own=letters is not None)

    def _read_subject(self, row: int, record: Mapping[str, Any], names: _Names) -> str | None:
        subject = record[names.subject] if names.subject else None
        if subject is None or subject == "":
            return ""
        if not isinstance(subject, str):
            fault = "is not text"
        else:
            fault = find_name_fault(subject, MAX_SUBJECT_CHARACTERS)
        if fault:
            code = "field_too_long" if "longer" in fault else "subject"
            shown = f"{ascii(subject)[:60]} {fault}"
            self.problems.add(row, names.subject or "subject", code, shown)
            return None
        return str(subject)

    def _read_key(
        self, row: int, record: Mapping[str, Any], names: _Names, subject: str
    ) -> str | None:
        place = self._per_subject[subject]
        self._per_subject[subject] += 1
        key: Any = "/".join(part for part in (subject, self.split, str(place)) if part)
        if names.key is not None:
            key = record[names.key]
        if isinstance(key, int) and not isinstance(key, bool):
            key = str(key)
        return key if self._keys.check(row, key, self.problems) else None

    def _add_answers(
        self, row: int, record: Mapping[str, Any], names: _Names, choices: Choices
    ) -> bool:
        if not self._columns:
            self._columns = {name: AnswerColumn(name) for name in names.answers}
        missing = [name for name in self._columns if name not in record]
        if missing or not self._columns:
            where = missing[0] if missing else "answer"
            self.problems.add(row, where, "missing_column", _missing(record))
            return False
        for name, column in self._columns.items():
            column.add(row, record[name], choices)
        return True


def read_answers(record: Mapping[str, Any]) -> tuple[tuple[str, ...], Choices]:
    """Return which fields hold a record's answer, and its choices; a loader has checked them."""
    inner = record.get("question")
    holder = {**record, **inner} if isinstance(inner, dict) else record
    names = _name_fields(tuple(holder))
    if names.choices is not None:
        texts, letters = _take_apart(holder[names.choices])
    else:
        texts, letters = [holder[name] for name in names.choice_fields], None
    named = tuple(letters or ascii_uppercase[: len(texts or ())])
    own = tuple(name for name in names.answers if name in record)
    return own, Choices(tuple(texts or ()), named, own=letters is not None)


def has_questions(fields: Iterable[str]) -> bool:
    """Return whether columns of these names hold multiple-choice questions."""
    names = _name_fields(tuple(fields))
    has_choices = names.choices is not None or bool(names.choice_fields)
    return names.question is not None and has_choices


def _name_fields(fields: tuple[str, ...]) -> _Names:
    simple = {name.lower().replace("_", ""): name for name in reversed(fields)}

    def first(names: Sequence[str]) -> str | None:
        return next((simple[name] for name in names if name in simple), None)

    question, choices, subject, key = map(first, (QUESTIONS, CHOICES, SUBJECTS, KEYS))
    choice_fields = () if choices else _find_choice_fields(simple)
    answers = tuple(simple[name] for name in ANSWERS if name in simple)
    read = {question, choices, *choice_fields, *answers, subject, key}
    unread = tuple(name for name in fields if name not in read)
    return _Names(question, choices, choice_fields, answers, subject, key, unread)


def _find_choice_fields(simple: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields that hold a choice each (A, option_a, opa), as far as they go on from A."""
    found = {
        match[1]: name for text, name in simple.items() if (match := _ONE_CHOICE.fullmatch(text))
    }
    letters = ascii_uppercase.lower()
    n_letters = next((n for n, letter in enumerate(letters) if letter not in found), len(letters))
    return tuple(found[letter] for letter in letters[:n_letters])


def _take_apart(value: Any) -> tuple[list[Any] | None, list[str] | None]:
    """Return the texts of a choices field and, where it names them, their labels."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        value = {name: [each.get(name) for each in value] for name in ("text", "label")}
    if not isinstance(value, dict):
        return (value, None) if isinstance(value, list) else (None, None)
    if set(value) == {"text", "label"} and all(isinstance(each, list) for each in value.values()):
        texts, labels = value["text"], value["label"]
    else:
        value = {label: text for label, text in value.items() if text is not None}
        texts, labels = list(value.values()), list(value)
    if not all(isinstance(label, str | int) and str(label) for label in labels):
        return None, None
    return texts, [str(label) for label in labels]


def _missing(record: Mapping[str, Any]) -> str:
    given = ", ".join(ascii(name[:40])[1:-1] for name in list(record)[:12])
    return f"missing; the fields are: {given}"
