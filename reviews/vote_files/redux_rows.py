"""Rows of MMLU-Redux in every form it is passed round in: CSV, JSONL or Parquet, one or a folder.

The CSV files were edited by many hands: commas or semicolons, UTF-8 or the code page of Windows,
surplus columns and empty lines. What had to be put right is counted, not hidden.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reviews.vote_files.base import VoteImportError

REQUIRED = ("question", "choices", "answer", "error_type")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
SUFFIXES = (".csv", ".jsonl", ".parquet")
MAX_FILE_BYTES = 64 << 20
_SUBJECT = re.compile(r"(?:mmlu_)?([a-z][a-z_]*?)(?:_test|_annotated)?")


@dataclass(frozen=True, slots=True)
class ReduxRow:
    """One annotated question; ``place`` names file and row for people."""

    place: str
    subject: str
    question: str
    choices: tuple[str, ...]
    answer: str
    error_type: str
    correct_answer: str


def list_files(path: Path) -> list[Path]:
    """Return ``path``, or the files of known formats in the folder it is, in order of name."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise VoteImportError(f"{path} holds no {', '.join(SUFFIXES)}", code="empty")
    return files


def read_rows(path: Path, content: bytes, found: Counter[str]) -> Iterator[ReduxRow]:
    """Yield the rows of one file; ``found`` counts what was irregular about it.

    The subject is the row's own, or the file's name (``mmlu_anatomy.csv``), or its folder's.
    """
    if len(content) > MAX_FILE_BYTES:
        raise VoteImportError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MB", code="file")
    by_path = _subject_of(path)
    for number, fields in _read_fields(path, content, found):
        place = f"{path.name}, row {number}"
        if not any(str(value).strip() for value in fields.values() if value is not None):
            found["empty rows"] += 1
            continue
        yield ReduxRow(
            place=place,
            subject=str(fields.get("subject") or by_path).strip().lower().replace(" ", "_"),
            question=str(fields["question"] or ""),
            choices=_read_choices(fields["choices"], place),
            answer=_text(fields["answer"]),
            error_type=_text(fields["error_type"]),
            correct_answer=_text(fields.get("correct_answer")),
        )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _subject_of(path: Path) -> str:
    for name in (path.stem, path.parent.name):
        found = _SUBJECT.fullmatch(name.lower())
        if found and found.group(1) not in {"test", "train", "data"}:
            return found.group(1)
    return ""


def _read_fields(
    path: Path, content: bytes, found: Counter[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path, content)
    if suffix == ".jsonl":
        return _read_jsonl(path, _decode(content, found))
    if suffix == ".csv":
        return _read_csv(path, _decode(content, found), found)
    raise VoteImportError(f"{path.name}: the files come as {', '.join(SUFFIXES)}", code="format")


def _decode(content: bytes, found: Counter[str]) -> str:
    """Return the text: UTF-8, or else Windows-1252, in which every other annotator's tool wrote."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        found["files in UTF-16"] += 1
        return content.decode("utf-16", errors="strict")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        found["files in Windows-1252"] += 1
        # Five bytes mean nothing in it; they come out as the mark for "unknown".
        return content.decode("cp1252", errors="replace")


def _read_csv(
    path: Path, text: str, found: Counter[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    found[f"files separated by {DELIMITERS[delimiter]}s"] += 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for values in reader:
            if not columns:
                columns = [value.strip().lower() for value in values]
                _check_columns(path, columns)
                continue
            if len(values) != len(columns):
                found["rows with another number of fields than the header"] += 1
                values = [*values, *[""] * len(columns)][: len(columns)]  # noqa: PLW2901 - counted
            yield reader.line_num, dict(zip(columns, values, strict=True))
    except csv.Error as error:
        reason = f"{path.name}, row {reader.line_num}: not CSV: {error}"
        raise VoteImportError(reason, code="csv") from error


def _read_jsonl(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields: Any = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = f"{path.name}, row {number}: not JSON: {error}"
            raise VoteImportError(reason, code="json") from error
        if not isinstance(fields, dict):
            raise VoteImportError(f"{path.name}, row {number}: not a JSON object", code="json")
        _check_columns(path, list(fields))
        yield number, fields


def _read_parquet(path: Path, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        reason = f"{path.name} can't be read as Parquet: {str(error)[:200]}"
        raise VoteImportError(reason, code="format") from error
    _check_columns(path, table.column_names)
    yield from enumerate(table.to_pylist(), start=1)


def _check_columns(path: Path, columns: list[str]) -> None:
    if missing := [name for name in REQUIRED if name not in columns]:
        raise VoteImportError(f"{path.name} has no column {', '.join(missing)}", code="header")


def _read_choices(value: Any, place: str) -> tuple[str, ...]:
    """Return the choices of a list, or of a list written as Python or JSON writes it."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        raise VoteImportError(f"{place}: choices are not a list of texts", code="choices")
    return tuple(value)
