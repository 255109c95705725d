"""Records of CSV and JSONL files as written: one value changes, every other byte stays."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLANKS = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record: its text with the line end, and its fields; none where it is no record."""

    text: str
    fields: Mapping[str, Any]


def is_json_lines(path: Path) -> bool:
    """Whether a file of records holds JSON objects, else it is CSV."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return stream.read(4096).lstrip().startswith("{")


def read_raw_records(path: Path) -> Iterator[RawRecord]:
    """Yield the file's text in order, cut at records; headers and empty lines have no fields.

    The file has been read before: what a loader refuses doesn't come here.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        if is_json_lines(path):
            for line in lines:
                record = line.removeprefix("\ufeff")
                yield RawRecord(line, json.loads(record) if record.strip() else {})
        else:
            yield from _read_csv(lines)


def _read_csv(lines: Iterator[str]) -> Iterator[RawRecord]:
    taken: list[str] = []

    def note() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    columns: list[str] = []
    for values in csv.reader(note(), strict=True):
        text = "".join(taken)
        taken.clear()
        fields = dict(zip(columns, values, strict=False)) if columns else {}
        yield RawRecord(text, fields)
        if values and not columns:
            columns = [values[0].removeprefix("\ufeff"), *values[1:]]


def replace_cell(text: str, index: int, value: str) -> str:
    """Return a CSV record with another value in its cell ``index``, quoted as it was."""
    start, stop = _find_cell(text, index)
    is_quoted = text[start : start + 1] == '"'
    if is_quoted or any(mark in value for mark in ',"\r\n'):
        doubled = value.replace('"', '""')
        value = f'"{doubled}"'
    return text[:start] + value + text[stop:]


def _find_cell(text: str, index: int) -> tuple[int, int]:
    """Return where a cell starts and stops, its quotes included."""
    start, is_inside = 0, False
    for place, character in enumerate(text):
        if character == '"':
            is_inside = not is_inside
        elif not is_inside and character in ",\r\n":
            if index == 0:
                return start, place
            index -= 1
            start = place + 1
    return start, len(text)


def replace_member(text: str, name: str, value: Any) -> str:
    """Return a JSON object with another value for one of its own names."""
    place = text.index("{") + 1
    while True:
        found, place = _decoder.raw_decode(text, _skip(text, place))
        place = _skip(text, _skip(text, place) + 1)  # the colon
        _, stop = _decoder.raw_decode(text, place)
        if found == name:
            return text[:place] + json.dumps(value, ensure_ascii=False) + text[stop:]
        place = _skip(text, stop) + 1  # the comma


def _skip(text: str, place: int) -> int:
    found = BLANKS.match(text, place)
    return found.end() if found else place
