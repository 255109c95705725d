"""The file that the data set came in, with cleaned labels in it and every other byte as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.input_files import FORMATS, find_input
from audit.loaders.answers import Choices
from audit.loaders.question_records import read_answers
from audit.loaders.raw_records import (
    RawRecord,
    is_json_lines,
    read_raw_records,
    replace_cell,
    replace_member,
)
from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)


class InputAgain(Writer):
    """``input.csv`` or ``input.jsonl``: the input's records in their order, less the excluded.

    A changed label is spelled as its row spells the given one: as index, name, letter or text.
    Columns that nobody read are still there.
    """

    @classmethod
    def check(cls, source: Source) -> None:
        _find(source)

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        path = _find(source)
        self._is_json = is_json_lines(path)
        self._text = folder.open_text("input.jsonl" if self._is_json else "input.csv")
        self._records = read_raw_records(path)
        spelling = QuestionSpelling if source.dataset.source_format == "jsonl-mcq" else NameSpelling
        self._spelling = spelling(source, path)

    def add(self, row: LabelRow) -> None:
        record = self._next_record(row)
        label = row.decision.cleaned_label
        if label is None:
            return
        text = record.text
        if label != row.given_label:
            for name, value in self._spelling.spell(record.fields, row.given_label, label).items():
                if self._is_json:
                    text = replace_member(text, name, value)
                else:
                    text = replace_cell(text, list(record.fields).index(name), str(value))
        self._text.write(text)

    def close(self) -> None:
        for record in self._records:
            if record.fields:
                raise FormatRefusedError(
                    "the kept input file has more records than there are items"
                )
            self._text.write(record.text)

    def _next_record(self, row: LabelRow) -> RawRecord:
        for record in self._records:
            if record.fields:
                if str(record.fields.get("key", row.key)) != row.key:
                    break
                return record
            self._text.write(record.text)  # header, empty lines
        raise FormatRefusedError(
            f"the kept input file isn't the one: {row.key!r} isn't its next item"
        )


def _find(source: Source) -> Path:
    path = find_input(source.dataset)
    if path is None:
        raise FormatRefusedError(
            f"input writes the one file again that a data set came in ({', '.join(FORMATS)}); "
            f"of this one ({source.dataset.source_format}) none was kept"
        )
    return path


class NameSpelling:
    """Labels of a manifest: an index, else the name of the class."""

    def __init__(self, source: Source, _path: Path) -> None:
        self._names = [each.name for each in source.classes]
        self._counts = Counter(self._names)

    def spell(self, fields: Mapping[str, Any], given: int, label: int) -> dict[str, Any]:
        """Return the new value of the field that holds the label."""
        said = fields["label"]
        name = self._names[label]
        # A name that two classes share can't be read back: such a label is an index.
        is_index = str(said) == str(given) or self._counts[name] > 1
        new: Any = label if is_index else name
        return {"label": new if isinstance(said, int) else str(new)}


class QuestionSpelling:
    """Answers of questions: letter, index or text, the same in every row of the file."""

    def __init__(self, source: Source, path: Path) -> None:
        given = source.dataset.items.order_by("position").values_list("given_label", flat=True)
        records = (record for record in read_raw_records(path) if record.fields)
        self._forms: dict[str, list[str]] = {}
        for record, label in zip(records, given.iterator(chunk_size=2000), strict=False):
            for name, places in _read_places(record.fields).items():
                forms = self._forms.setdefault(name, list(places))
                forms[:] = [form for form in forms if places[form] == label]
        if not all(self._forms.values()) or not self._forms:
            raise FormatRefusedError("the kept input file isn't the one: its answers are others")

    def spell(self, fields: Mapping[str, Any], _given: int, label: int) -> dict[str, Any]:
        """Return the new value of every field that holds the answer."""
        _, choices = read_answers(fields)
        new: dict[str, Any] = {}
        for name, forms in self._forms.items():
            spelled: Any = label if forms[0] == "index" else _spell(choices, forms[0], label)
            new[name] = int(spelled) if isinstance(fields[name], int) else str(spelled)
        return new


def _spell(choices: Choices, form: str, label: int) -> str:
    return choices.letters[label] if form == "letter" else choices.texts[label]


def _read_places(fields: Mapping[str, Any]) -> dict[str, dict[str, int | None]]:
    """Return by answer field which choice it means, read as letter, as index and as text."""
    names, choices = read_answers(fields)
    found: dict[str, dict[str, int | None]] = {}
    for name in names:
        said = str(fields[name])
        found[name] = {
            "letter": choices.letters.index(said) if said in choices.letters else None,
            "index": int(said) if said.isascii() and said.isdigit() else None,
            "text": choices.texts.index(said) if said in choices.texts else None,
        }
    return found
