"""MMLU-Redux: 5,700 MMLU questions looked at again by hand (Gema et al. 2024).

Each row has ``question``, ``choices``, ``answer`` (the key as published, from 0 on),
``error_type`` and often ``correct_answer``. The annotators spelled the error types and answers as
they pleased; what each spelling was read as is reported.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Self

from audit.models import Dataset
from reviews.models import QuestionVerdict
from reviews.vote_files.base import (
    LoadedVote,
    LoadedVotes,
    VoteImportError,
    VoteTarget,
    check_same_labels,
    describe_left_out,
    read_bytes,
)
from reviews.vote_files.redux_rows import ReduxRow, list_files, read_rows

ANNOTATOR = "MMLU-Redux"
ALIKE = 0.85
"""How alike two words have to be (difflib's ratio) for one to pass as a slip of the other."""

CORRECTABLE = {QuestionVerdict.WRONG_GROUND_TRUTH, QuestionVerdict.MULTIPLE_CORRECT}

_ERROR_TYPES = {
    "ok": QuestionVerdict.LABEL_CORRECT,
    "correct": QuestionVerdict.LABEL_CORRECT,
    "noerror": QuestionVerdict.LABEL_CORRECT,
    "wronggroundtruth": QuestionVerdict.WRONG_GROUND_TRUTH,
    "wronganswer": QuestionVerdict.WRONG_GROUND_TRUTH,
    "wrongkey": QuestionVerdict.WRONG_GROUND_TRUTH,
    "multiplecorrectanswers": QuestionVerdict.MULTIPLE_CORRECT,
    "multiplecorrect": QuestionVerdict.MULTIPLE_CORRECT,
    "multipleanswers": QuestionVerdict.MULTIPLE_CORRECT,
    "nocorrectanswer": QuestionVerdict.NO_CORRECT,
    "nocorrect": QuestionVerdict.NO_CORRECT,
    "badquestionclarity": QuestionVerdict.BAD_QUESTION_CLARITY,
    "badquestion": QuestionVerdict.BAD_QUESTION_CLARITY,
    "badoptionsclarity": QuestionVerdict.BAD_OPTIONS_CLARITY,
    "badoptions": QuestionVerdict.BAD_OPTIONS_CLARITY,
    "expert": QuestionVerdict.UNSURE,
    "expertneeded": QuestionVerdict.UNSURE,
    "needsexpert": QuestionVerdict.UNSURE,
}
_SEPARATORS = re.compile(r"[\s,;/&()\[\]{}'\"]+|\band\b|\bor\b")


def read_mmlu_redux(path: Path | None, target: VoteTarget) -> LoadedVotes:
    """Return one vote per question that the data set has: a verdict, and the answers that hold.

    Questions are found by their text and choices, whatever their keys: first as they are, then by
    letters and digits alone. Rows without an error type, rows of other questions, of questions
    that are there twice, and rows whose key isn't the given label are left out and counted.
    """
    if path is None:
        raise VoteImportError("which file or folder?", code="file")
    if target.dataset.kind != Dataset.Kind.MULTIPLE_CHOICE:
        raise VoteImportError(f"{target.dataset} has no questions", code="kind")
    digest, irregular = hashlib.sha256(), Counter[str]()
    reading = _Reading(target, QuestionFinder.of(target.dataset))
    for file in list_files(path):
        content = read_bytes(file)
        digest.update(content)
        for row in read_rows(file, content, irregular):
            reading.add(row)
    check_same_labels(reading.n_same, reading.n_found, "the row's key is the given label")
    if not reading.votes:
        raise VoteImportError("no row is about a question of the data set", code="empty")
    notices = [f"{count:,} {what}" for what, count in sorted(irregular.items())]
    if reading.n_unread:
        notices.append(
            f"{reading.n_unread:,} suggested answers name no choices: the verdict alone counts"
        )
    spellings = sorted(reading.spellings.items())
    return LoadedVotes(
        list(reading.votes.values()),
        digest.hexdigest(),
        tuple(notices),
        {spelling: (verdict, count) for (spelling, verdict), count in spellings},
        describe_left_out(reading.left_out),
    )


@dataclass(slots=True)
class _Reading:
    """The votes so far, by item, and what was met on the way."""

    target: VoteTarget
    finder: QuestionFinder
    votes: dict[int, LoadedVote] = field(default_factory=dict)
    spellings: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    n_found: int = 0
    n_same: int = 0
    n_unread: int = 0

    def add(self, row: ReduxRow) -> None:
        """Take the row's vote, or count why there is none."""
        if not row.error_type:
            self.left_out["rows without an error type"] += 1
            return
        verdict = read_error_type(row.error_type, row.place)
        self.spellings[row.error_type, verdict] += 1
        places = self.finder.find(row)
        if len(places) != 1:
            what = "questions that the data set has twice" if places else "other questions"
            self.left_out[f"rows of {what}"] += 1
            return
        pk, given = self.target.pks[places[0]], self.target.given_labels[places[0]]
        self.n_found += 1
        if read_answers(row.answer, row.choices) != {given}:
            self.left_out["rows whose key is not the given label"] += 1
            return
        if pk in self.votes:
            raise VoteImportError(f"{row.place}: the question a second time", code="duplicate")
        self.n_same += 1
        labels = holding_answers(verdict, row, given)
        self.n_unread += bool(row.correct_answer) and labels is None and verdict in CORRECTABLE
        self.votes[pk] = LoadedVote(pk, ANNOTATOR, labels, verdict)


def read_error_type(spelling: str, place: str) -> str:
    """Return the verdict a spelling stands for; a slip of a letter or two passes.

    As the authors do it, case, blanks and punctuation don't count; nor does a plural.
    """
    letters = "".join(sign for sign in spelling.casefold() if sign.isalpha())
    if verdict := _ERROR_TYPES.get(letters):
        return verdict
    close = get_close_matches(letters, _ERROR_TYPES, n=1, cutoff=ALIKE)
    if not close:
        raise VoteImportError(f"{place}: {spelling[:60]!r} is no error type", code="error_type")
    return _ERROR_TYPES[close[0]]


def read_answers(text: str, choices: tuple[str, ...]) -> set[int] | None:
    """Return the choices that ``text`` names: numbers from 0, letters, or a choice's own words.

    None where any part of it is something else. Numbers count as such even where a choice is
    that number.
    """
    answers = set()
    for part in _SEPARATORS.split(text.casefold()):
        sign = part.removesuffix(".0").rstrip(".")
        if not sign:
            continue
        index = int(sign) if sign in digits else ascii_lowercase.find(sign)
        if len(sign) != 1 or not 0 <= index < len(choices):
            return {choices.index(text)} if choices.count(text) == 1 else None
        answers.add(index)
    return answers or None


def holding_answers(verdict: str, row: ReduxRow, given: int) -> tuple[int, ...] | None:
    """Return the answers that hold by the row, in order; None where it doesn't say."""
    if verdict == QuestionVerdict.LABEL_CORRECT:
        return (given,)
    if verdict == QuestionVerdict.NO_CORRECT:
        return ()
    suggested = read_answers(row.correct_answer, row.choices) or set()
    if verdict == QuestionVerdict.WRONG_GROUND_TRUTH and suggested and given not in suggested:
        return tuple(sorted(suggested))
    if verdict == QuestionVerdict.MULTIPLE_CORRECT and suggested:
        return tuple(sorted(suggested | {given} if len(suggested) == 1 else suggested))
    return None


@dataclass(frozen=True, slots=True)
class QuestionFinder:
    """Finds items by question and choices; each index maps a text to places in item order."""

    exact: dict[str, list[int]]
    loose: dict[str, list[int]]
    subjects: list[str]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the finder of all questions of ``dataset``."""
        exact: defaultdict[str, list[int]] = defaultdict(list)
        loose: defaultdict[str, list[int]] = defaultdict(list)
        subjects = []
        rows = dataset.items.order_by("position").values_list("question", "choices", "subject")
        for place, (question, choices, subject) in enumerate(rows.iterator(chunk_size=5000)):
            exact[_as_it_is(question, choices)].append(place)
            loose[_alphanumeric(question, choices)].append(place)
            subjects.append(subject.lower().replace(" ", "_"))
        return cls(dict(exact), dict(loose), subjects)

    def find(self, row: ReduxRow) -> list[int]:
        """Return the places of the row's question, those of its subject where there are some."""
        places = self.exact.get(_as_it_is(row.question, row.choices), [])
        if not places:
            places = self.loose.get(_alphanumeric(row.question, row.choices), [])
        of_subject = [place for place in places if self.subjects[place] == row.subject]
        return of_subject or places


def _as_it_is(question: str, choices: list[str] | tuple[str, ...]) -> str:
    texts = [unicodedata.normalize("NFC", text) for text in (question, *choices)]
    return "\0".join(" ".join(text.split()) for text in texts)


def _alphanumeric(question: str, choices: list[str] | tuple[str, ...]) -> str:
    """Return letters and digits alone: other signs did not survive every change of encoding."""
    texts = [unicodedata.normalize("NFKC", text).casefold() for text in (question, *choices)]
    return "\0".join("".join(sign for sign in text if sign.isalnum()) for text in texts)
