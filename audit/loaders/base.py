"""What every loader returns, and how it refuses: all problems it found, by row and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MAX_PROBLEMS = 1000
SHOWN_PROBLEMS = 5

Kind = Literal["image", "multiple_choice", "task"]


@dataclass(frozen=True, slots=True)
class LoadedClass:
    """A class as the source describes it; its index is its place in the list.

    ``parents`` are the WordNet ids above it, the nearest first.
    """

    name: str
    wordnet_id: str = ""
    gloss: str = ""
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedItem:
    """One item with its given label (a class index); ``image`` is a path below the root.

    ``label`` is None for tasks, which have no classes.
    """

    key: str
    label: int | None
    image: str = ""
    question: str = ""
    choices: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class LoadedExample:
    """A solved question that few-shot prompts of its subject show; never an item."""

    subject: str
    question: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class LoadedDataset:
    """A data set read and checked, its images not yet opened."""

    kind: Kind
    classes: tuple[LoadedClass, ...]
    items: tuple[LoadedItem, ...]
    root: Path | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    examples: tuple[LoadedExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a file. ``row`` counts as a text editor does, from 1."""

    row: int | None
    column: str
    code: str
    message: str

    def __str__(self) -> str:
        place = [] if self.row is None else [f"row {self.row}"]
        place += [f"column {self.column}"] if self.column else []
        return f"{', '.join(place)}: {self.message}" if place else self.message


class ImportRefused(Exception):  # noqa: N818 - the word used for it in reports and pages
    """A file that cannot be imported; nothing of it was."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [f"{problem} [{problem.code}]" for problem in self.problems[:SHOWN_PROBLEMS]]
        more = len(self.problems) - SHOWN_PROBLEMS
        if more > 0:
            limit = " or more" if len(self.problems) >= MAX_PROBLEMS else ""
            lines.append(f"and {more}{limit} more problems")
        return "\n".join(lines)


class ProblemList:
    """Collects problems while a file is read, and stops the reading when there are too many.

    ``file`` stands before every message where several files are read.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.file = ""

    def add(self, row: int | None, column: str, code: str, message: str) -> None:
        """Note one problem; raises ``ImportRefused`` at the thousandth."""
        message = f"{self.file}: {message}" if self.file else message
        self.problems.append(Problem(row, column, code, message))
        if len(self.problems) >= MAX_PROBLEMS:
            raise ImportRefused(self.problems)

    def raise_if_any(self) -> None:
        """Refuse the file when anything was noted."""
        if self.problems:
            raise ImportRefused(self.problems)


def refuse(code: str, message: str, *, row: int | None = None, column: str = "") -> ImportRefused:
    """Return a refusal for one reason."""
    return ImportRefused([Problem(row, column, code, message)])
