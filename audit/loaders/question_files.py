"""From files of question records to a data set: items of one split, examples of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from audit.loaders.base import (
    ImportRefused,
    LoadedDataset,
    LoadedExample,
    LoadedItem,
    Problem,
    ProblemList,
    refuse,
)
from audit.loaders.class_names import name_classes
from audit.loaders.question_records import QuestionReader
from audit.loaders.rows import Row


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A name for messages, and what yields the file's records."""

    name: str
    read: Callable[[ProblemList], Iterator[Row]]


def load_questions(
    path: Path,
    split: str,
    files: Sequence[QuestionFile],
    examples: Sequence[QuestionFile] = (),
) -> LoadedDataset:
    """Return the questions of ``files`` as items and those of ``examples`` as solved examples.

    Classes are the letters of the longest list of choices; a question may have fewer. An item's
    key is its own field, else its subject, its split and its row among them, counted from 0.
    """
    problems = ProblemList()
    is_one = len(files) + len(examples) == 1
    solved = _read_all(examples, QuestionReader(problems), names_files=not is_one)
    reader = _read_all(files, QuestionReader(problems, split), names_files=not is_one)
    problems.raise_if_any()
    if not reader.questions:
        raise refuse("empty", f"no questions in {path.name}")
    items = tuple(
        LoadedItem(each.key, answer, "", each.question, each.choices, each.subject)
        for each, answer in zip(reader.questions, reader.answers, strict=True)
    )
    shown = tuple(
        LoadedExample(each.subject, each.question, each.choices, answer)
        for each, answer in zip(solved.questions, solved.answers, strict=True)
    )
    classes = name_classes(ascii_uppercase[: reader.n_choices])
    unread = (f"fields that aren't read: {reader.unread}",) if reader.unread else ()
    notices = (*reader.notices, *unread)
    return LoadedDataset("multiple_choice", classes, items, notices=notices, examples=shown)


def _read_all(
    files: Sequence[QuestionFile], reader: QuestionReader, *, names_files: bool
) -> QuestionReader:
    for file in files:
        reader.problems.file = file.name if names_files else ""
        try:
            for row in file.read(reader.problems):
                reader.add(row.number, row.fields)
        except ImportRefused as refusal:
            # What was found before the reading broke off is worth knowing too.
            earlier = reader.problems.problems
            if refusal.problems[: len(earlier)] == tuple(earlier) and earlier:
                raise
            last = [_in_file(reader.problems.file, each) for each in refusal.problems]
            raise ImportRefused([*earlier, *last]) from refusal
        reader.close_file()
    return reader


def _in_file(file: str, problem: Problem) -> Problem:
    message = f"{file}: {problem.message}" if file else problem.message
    return Problem(problem.row, problem.column, problem.code, message)
