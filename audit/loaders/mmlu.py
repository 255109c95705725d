"""MMLU as its authors publish it: a folder of CSV files without headers, one per subject and split.

``test/SUBJECT_test.csv`` holds the items; ``dev/SUBJECT_dev.csv`` the solved examples that a
few-shot prompt shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

from audit.loaders.base import (
    LoadedDataset,
    LoadedExample,
    LoadedItem,
    ProblemList,
    refuse,
)
from audit.loaders.class_names import find_name_fault, name_classes
from audit.loaders.item_fields import MAX_SUBJECT_CHARACTERS
from audit.loaders.rows import read_records
from audit.loaders.splits import EXAMPLES, USUAL

SPLITS = ("dev", "test", "val")


@dataclass(slots=True)
class _Reading:
    """How many choices the questions have, once the first one is read, and what is wrong."""

    n_choices: int = 0
    problems: ProblemList = field(default_factory=ProblemList)


def load_mmlu(
    path: Path,
    *,
    classes_file: Path | None = None,
    root: Path | None = None,
    split: str = USUAL,
) -> LoadedDataset:
    """Read the ``split`` below ``path`` (or ``path/data``), and the dev split as examples.

    A row is question, choices, letter of the key. The item's key is ``SUBJECT/SPLIT/ROW``, rows
    counted from 0 in their file; files come in order of their names.
    """
    if classes_file is not None or root is not None:
        raise refuse("classes", "MMLU's classes are its letters; leave --classes and --root out")
    if split not in SPLITS:
        raise refuse("split", f"MMLU has no split {split[:60]!a}; it has {', '.join(SPLITS)}")
    folder = path if (path / split).is_dir() else path / "data"
    if not (folder / split).is_dir():
        raise refuse("missing", f"{path} has no folder {split}")
    reading = _Reading()
    examples = tuple(
        LoadedExample(subject, question, choices, answer)
        for subject, _row, question, choices, answer in _read_split(folder, EXAMPLES, reading)
        if split != EXAMPLES
    )
    items = tuple(
        LoadedItem(f"{subject}/{split}/{row}", answer, "", question, choices, subject)
        for subject, row, question, choices, answer in _read_split(folder, split, reading)
    )
    reading.problems.raise_if_any()
    if not items:
        raise refuse("empty", f"no questions in {folder / split}")
    classes = name_classes(ascii_uppercase[: reading.n_choices])
    return LoadedDataset("multiple_choice", classes, items, examples=examples)


def _read_split(
    folder: Path, split: str, reading: _Reading
) -> Iterator[tuple[str, int, str, tuple[str, ...], int]]:
    for file in sorted((folder / split).glob(f"*_{split}.csv")):
        subject = file.stem.removesuffix(f"_{split}")
        if fault := find_name_fault(subject, MAX_SUBJECT_CHARACTERS):
            raise refuse("subject", f"the subject {subject[:60]!a} {fault}")
        for row, (number, values) in enumerate(read_records(file, reading.problems)):
            answer = _check(file, number, values, reading)
            if answer is not None:
                yield subject, row, values[0], tuple(values[1:-1]), answer


def _check(file: Path, number: int, values: list[str], reading: _Reading) -> int | None:
    """Return the key's place among the choices, or note what is wrong with the row."""
    n_choices = len(values) - 2
    if reading.n_choices == 0 and 2 <= n_choices <= len(ascii_uppercase):
        reading.n_choices = n_choices
    if n_choices != reading.n_choices:
        expected = f"{reading.n_choices or 4} choices between question and letter"
        message = f"{file.name}: {len(values)} fields, expected {expected}"
        reading.problems.add(number, "", "ragged", message)
        return None
    letters = ascii_uppercase[:n_choices]
    if len(values[-1]) != 1 or values[-1] not in letters:
        hint = "; MMLU's files have no header" if values[-1].lower() == "answer" else ""
        message = f"{file.name}: {values[-1][:60]!a} is not a letter from A to {letters[-1]}{hint}"
        reading.problems.add(number, "answer", "label", message)
        return None
    return letters.index(values[-1])
