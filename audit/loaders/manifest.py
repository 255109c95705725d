"""A manifest: CSV or JSONL with one item per row, its key, its given label and where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from audit.loaders.base import (
    ImportRefused,
    Kind,
    LoadedClass,
    LoadedDataset,
    LoadedItem,
    ProblemList,
    refuse,
)
from audit.loaders.class_names import LabelReader, name_classes, read_classes
from audit.loaders.item_fields import KeyReader, read_texts
from audit.loaders.rows import Row, parse_json_object, read_rows

REQUIRED = ("key", "label")
COLUMNS = ("key", "label", "image", "question", "choices", "subject")


@dataclass(slots=True)
class _Reading:
    """What is known so far of the file being read."""

    labels: LabelReader
    has_own_classes: bool
    kind: Kind | None = None
    n_choices: int = 0
    items: list[LoadedItem] = field(default_factory=list)
    keys: KeyReader = field(default_factory=KeyReader)
    problems: ProblemList = field(default_factory=ProblemList)


def load_manifest(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read a manifest; image paths are below ``root``, by default the manifest's own folder.

    A label is a class index or, with ``classes_file``, a class name. Without it there are as many
    classes as the largest label needs, called by their index; for questions the classes are the
    letters of the choices, and a label may be such a letter.
    """
    if path.is_dir():
        raise refuse("format", f"{path} is a folder; give the CSV or JSONL file")
    classes = read_classes(classes_file) if classes_file is not None else None
    reading = _Reading(LabelReader(classes), has_own_classes=classes is not None)
    try:
        for row in read_rows(path, REQUIRED, COLUMNS, reading.problems):
            _add_row(reading, row)
    except ImportRefused as refusal:
        # What was found before the reading broke off is worth knowing too.
        earlier = reading.problems.problems
        if refusal.problems[: len(earlier)] != tuple(earlier):
            raise ImportRefused([*earlier, *refusal.problems]) from refusal
        raise
    if reading.problems.problems:
        raise ImportRefused(reading.labels.refine(reading.problems.problems))
    if not reading.items or reading.kind is None:
        raise refuse("empty", f"{path.name} has no items")
    has_images = any(item.image for item in reading.items)
    return LoadedDataset(
        kind=reading.kind,
        classes=reading.labels.list_classes(),
        items=tuple(reading.items),
        root=(root or path.parent).resolve() if has_images else None,
        notices=reading.labels.notices() if not reading.has_own_classes else (),
    )


def _add_row(reading: _Reading, row: Row) -> None:
    if reading.kind is None:
        reading.kind = _decide_kind(row)
    key = row.fields["key"]
    is_new = reading.keys.check(row.number, key, reading.problems)
    choices = _read_choices(reading, row) if reading.kind == "multiple_choice" else ()
    label = reading.labels.read_value(row.number, row.fields["label"], reading.problems)
    texts = read_texts(row, ("image", "question", "subject"), reading.problems)
    if is_new and label is not None and choices is not None and texts is not None:
        reading.items.append(LoadedItem(key=key, label=label, choices=choices, **texts))


def _decide_kind(row: Row) -> Kind:
    is_question = "question" in row.fields or "choices" in row.fields
    if not is_question:
        return "image"
    if "question" not in row.fields or "choices" not in row.fields:
        raise refuse("missing_column", "question and choices belong together", row=row.number)
    if "image" in row.fields:
        message = "questions about pictures are not supported; give image or question"
        raise refuse("unknown_column", message, row=row.number, column="image")
    return "multiple_choice"


def _read_choices(reading: _Reading, row: Row) -> tuple[str, ...] | None:
    value = row.fields["choices"]
    if isinstance(value, str):
        value = _parse_choices(value, row.number)
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        message = 'choices are a JSON list of texts, such as ["yes", "no"]'
        reading.problems.add(row.number, "choices", "choices", message)
        return None
    if not 2 <= len(value) <= len(ascii_uppercase):
        message = f"{len(value)} choices; 2 to {len(ascii_uppercase)} are allowed"
        reading.problems.add(row.number, "choices", "choice_count", message)
        return None
    if reading.n_choices == 0:
        _expect_choices(reading, len(value), row.number)
    if len(value) != reading.n_choices:
        message = f"{len(value)} choices, rows before have {reading.n_choices}"
        reading.problems.add(row.number, "choices", "choice_count", message)
        return None
    return tuple(value)


def _parse_choices(text: str, number: int) -> Any:
    fields: Mapping[str, Any] = parse_json_object(f'{{"choices": {text or "null"}}}', number)
    return fields["choices"] if set(fields) == {"choices"} else None


def _expect_choices(reading: _Reading, n_choices: int, number: int) -> None:
    """Let the first question decide how many choices all have, and what labels may be."""
    classes: Sequence[LoadedClass] | None = reading.labels.classes
    if classes is not None and len(classes) != n_choices:
        message = f"{n_choices} choices, but the class list names {len(classes)}"
        raise refuse("choice_count", message, row=number, column="choices")
    reading.n_choices = n_choices
    if classes is None:
        reading.labels = LabelReader(name_classes(ascii_uppercase[:n_choices]))
