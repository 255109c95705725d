"""Rows of CSV and JSONL files as plain fields, streamed; everything irregular is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TextIO

from audit.loaders.base import ImportRefused, ProblemList, refuse
from audit.loaders.text_files import MAX_FIELD_BYTES, check_text_file

MAX_COLUMNS = 64
_HALF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the line it starts on and its fields by column name."""

    number: int
    fields: Mapping[str, Any]


def read_rows(
    path: Path, required: Sequence[str], allowed: Sequence[str], problems: ProblemList
) -> Iterator[Row]:
    """Yield the rows of a CSV or JSONL file, told apart by their first character.

    CSV fields are text; JSONL fields are what JSON says. Every row has the columns of the first.
    Problems of single rows go to ``problems``; those that end the reading are raised.
    """
    check_text_file(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        start = file.read(4096).lstrip()
        file.seek(0)
        if not start:
            raise refuse("empty", f"{path.name} holds only blanks")
        if start.startswith("["):
            raise refuse("json", "a JSON list; give one JSON object per line", row=1)
        if start.startswith("{"):
            yield from _read_jsonl(file, required, allowed, problems)
        else:
            yield from _read_csv(file, required, allowed, problems)


def _read_csv(
    lines: TextIO, required: Sequence[str], allowed: Sequence[str], problems: ProblemList
) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    header = _next_record(reader, lines)
    if header is None:
        raise refuse("empty", "no header")
    _check_columns(header[1], required, allowed, header[0])
    columns, n_rows = header[1], 0
    while (record := _next_record(reader, lines)) is not None:
        number, values = record
        n_rows += 1
        if len(values) != len(columns):
            message = f"{len(values)} fields, the header names {len(columns)}"
            problems.add(number, "", "ragged", message)
            continue
        fields = dict(zip(columns, values, strict=True))
        is_short = 4 * sum(map(len, values)) <= MAX_FIELD_BYTES
        if is_short or _are_short(number, fields, problems):
            yield Row(number, fields)
    if n_rows == 0:
        raise refuse("empty", "a header and no rows")


def read_records(path: Path, problems: ProblemList) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a CSV file without a header, with the line each starts on."""
    check_text_file(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        while (record := _next_record(reader, file)) is not None:
            number, values = record
            if _are_short(number, dict(enumerate(values)), problems):
                yield number, values


def _next_record(reader: Any, lines: TextIO) -> tuple[int, list[str]] | None:
    """Return the next record that is not an empty line, with the line it starts on."""
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise _refuse_csv(number, str(error), lines) from error
        if values is None or values:
            return None if values is None else (number, values)


def _refuse_csv(number: int, reason: str, lines: TextIO) -> ImportRefused:
    if "field larger than" in reason:
        lines.seek(0)
        n_quotes = sum(line.count('"') for line in islice(lines, number - 1, None))
        if n_quotes % 2:
            return refuse("quote", "a quote is left open until the file ends", row=number)
        return refuse("field_too_long", "a field is too long", row=number)
    return refuse("quote", f"quotes are not closed or not doubled ({reason})", row=number)


def _check_columns(
    columns: Sequence[str], required: Sequence[str], allowed: Sequence[str], number: int
) -> None:
    if len(columns) > MAX_COLUMNS:
        message = f"{len(columns)} columns, at most {MAX_COLUMNS} are read"
        raise refuse("too_many_columns", message, row=number)
    problems = ProblemList()
    known = f"known columns: {', '.join(allowed)}"
    for column in dict.fromkeys(columns):
        if column not in allowed:
            problems.add(number, ascii(column[:60]), "unknown_column", f"unknown; {known}")
        elif list(columns).count(column) > 1:
            problems.add(number, column, "duplicate_column", "given twice")
    for column in required:
        if column not in columns:
            message = f"missing; is the first row a header? {known}"
            problems.add(number, column, "missing_column", message)
    problems.raise_if_any()


def _are_short(number: int, fields: Mapping[Any, Any], problems: ProblemList) -> bool:
    """Note fields that are too long; measured in bytes only where characters leave a doubt."""
    for column, value in fields.items():
        text = value if isinstance(value, str) else "".join(_texts_in(value))
        if 4 * len(text) > MAX_FIELD_BYTES and len(text.encode()) > MAX_FIELD_BYTES:
            message = f"over {MAX_FIELD_BYTES} bytes"
            problems.add(number, str(column), "field_too_long", message)
            return False
    return True


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value if isinstance(value, list) else (*value, *value.values()):
            yield from _texts_in(each)


def _read_jsonl(
    lines: Iterator[str], required: Sequence[str], allowed: Sequence[str], problems: ProblemList
) -> Iterator[Row]:
    columns: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = parse_json_object(line, number)
        if not columns:
            _check_columns(list(fields), required, allowed, number)
            columns = set(fields)
        elif set(fields) != columns:
            different = ", ".join(ascii(name[:60]) for name in sorted(columns ^ set(fields))[:5])
            problems.add(number, "", "ragged", f"other fields than the first row: {different}")
            continue
        if _is_harmless(line) or check_texts(number, fields, problems):
            yield Row(number, fields)


def _is_harmless(line: str) -> bool:
    """Whether no text of a line can be too long or hold what only an escape can smuggle in."""
    return 4 * len(line) <= MAX_FIELD_BYTES and "\\u" not in line


def read_json_records(path: Path, problems: ProblemList) -> Iterator[Row]:
    """Yield the JSON objects of a file, one a line, whatever fields each has."""
    check_text_file(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if line.lstrip().startswith("["):
                raise refuse("json", "a JSON list; give one JSON object per line", row=number)
            fields = parse_json_object(line, number)
            if _is_harmless(line) or check_texts(number, fields, problems):
                yield Row(number, fields)


class _NotPlainJsonError(ValueError):
    """What Python's reader takes and JSON doesn't define."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _refuse_constant(text: str) -> NoReturn:
    raise _NotPlainJsonError("number", f"{text} is not a JSON number")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _NotPlainJsonError("duplicate_column", "a field is given twice")
    return fields


# One for all lines: to make it takes as long as to read a line.
_JSON = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)


def parse_json_object(line: str, number: int) -> dict[str, Any]:
    """Return the JSON object in ``line``; what JSON does not define is refused."""
    try:
        value = _JSON.decode(line)
    except _NotPlainJsonError as error:
        raise refuse(error.code, str(error), row=number) from error
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg} at character {error.pos + 1}"
        raise refuse("json", message, row=number) from error
    except RecursionError as error:
        raise refuse("nesting", "nested too deeply", row=number) from error
    except ValueError as error:  # Python's own limit on digits
        raise refuse("number", "a number of thousands of digits", row=number) from error
    if not isinstance(value, dict):
        raise refuse("json", "not a JSON object; give one object per line", row=number)
    return value


def check_texts(number: int, fields: Mapping[str, Any], problems: ProblemList) -> bool:
    """Return whether a record's texts can be stored as they are, or note the problem."""
    return _are_clean(number, fields, problems) and _are_short(number, fields, problems)


def _are_clean(number: int, fields: Mapping[str, Any], problems: ProblemList) -> bool:
    """Note what only JSON can smuggle in: NUL and half characters, written as escapes."""
    for column, value in fields.items():
        for text in _texts_in(value):
            if "\0" in text:
                problems.add(number, column, "nul", "a NUL character")
                return False
            if _HALF_PAIR.search(text):
                problems.add(number, column, "encoding", "half of a surrogate pair")
                return False
    return True
