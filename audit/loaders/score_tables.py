"""Scores in tables: CSV and Parquet with a `key` column and one column of numbers per class.

Rows go one by one into an unnamed temporary file, as large as the data set allows and no larger.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.loaders.base import ProblemList, refuse
from audit.loaders.text_files import check_text_file

KEY = "key"
ROWS_PER_READ = 1024


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table's numbers, (n_items, n_columns) float32 on disk, and the key of every row."""

    values: NDArray[np.float32]
    keys: list[str]


def read_csv_scores(path: Path, n_items: int, names: Sequence[str] | int) -> ScoreTable:
    """Return the table in a CSV file: ``key``, then the columns ``names`` or so many classes.

    Columns that are called 0, 1, .. are taken by number, all others in the file's order.
    """
    check_text_file(path)
    problems = ProblemList()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            columns = _find_columns(header[1:] if header[:1] == [KEY] else header, names, header)
            values = _new_values(n_items, len(columns))
            keys: list[str] = []
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    message = f"{len(fields)} fields, the header names {len(header)}"
                    problems.add(reader.line_num, "", "ragged", message)
                    fields = ["", *["nan"] * (len(header) - 1)]  # noqa: PLW2901 - noted above
                if len(keys) == n_items:
                    raise refuse("count_mismatch", f"more rows than the {n_items} items there are")
                numbers = _parse(fields[1:], reader.line_num, header[1:], problems)
                values[len(keys)] = numbers[columns]
                keys.append(fields[0])
        except csv.Error as error:
            raise refuse("quote", f"not CSV: {error}", row=reader.line_num) from error
    problems.raise_if_any()
    _check_count(len(keys), n_items)
    return ScoreTable(values, keys)


def read_parquet_scores(path: Path, n_items: int, names: Sequence[str] | int) -> ScoreTable:
    """Return the table in a Parquet file: a column ``key`` and the columns as for CSV."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_count(file.metadata.num_rows, n_items)
            header = list(file.schema_arrow.names)
            others = [name for name in header if name != KEY]
            columns = _find_columns(others if KEY in header else header, names, header)
            values = _new_values(n_items, len(columns))
            keys: list[str] = []
            for batch in file.iter_batches(ROWS_PER_READ):
                block = np.column_stack([_numbers(batch.column(others[at])) for at in columns])
                values[len(keys) : len(keys) + len(block)] = _narrow(block)
                keys += [str(key) for key in batch.column(KEY).to_pylist()]
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise refuse("damaged", f"{path.name} can't be read as Parquet: {reason}") from error
    return ScoreTable(values, keys)


def _find_columns(
    found: Sequence[str], names: Sequence[str] | int, header: Sequence[str]
) -> NDArray[np.int64]:
    """Return where in ``found`` the columns lie, in class order."""
    shown = ", ".join(ascii(name[:30]) for name in header[:5])
    if KEY not in header or len(found) == len(header):
        raise refuse("missing_column", f"the table needs a column 'key' first; it has: {shown}")
    if not isinstance(names, int):
        if sorted(found) != sorted(names):
            wanted = ", ".join(names)
            raise refuse("missing_column", f"the columns are key, {wanted}; found: {shown}")
        return np.array([list(found).index(name) for name in names])
    if len(found) != names:
        message = f"{len(found)} columns beside 'key', the data set has {names} classes"
        raise refuse("class_count", message)
    if set(found) == {str(index) for index in range(names)}:
        return np.array([list(found).index(str(index)) for index in range(names)])
    return np.arange(names)


def _new_values(n_items: int, n_columns: int) -> NDArray[np.float32]:
    if 0 in (n_items, n_columns):
        return np.empty((n_items, n_columns), np.float32)
    with tempfile.TemporaryFile() as file:
        file.truncate(4 * n_items * n_columns)
        # The mapping keeps the unnamed file alive after it is closed here.
        return np.memmap(file, np.float32, "r+", shape=(n_items, n_columns))


def _parse(
    fields: Sequence[str], number: int, header: Sequence[str], problems: ProblemList
) -> NDArray[np.float32]:
    try:
        return _narrow(np.array(fields, dtype=np.float64))
    except ValueError:
        for name, field in _unreadable(header, fields):
            message = f"{field[:30]!a} is not a number"
            problems.add(number, ascii(name[:60]), "number", message)
        return np.full(len(fields), np.nan, np.float32)


def _unreadable(header: Sequence[str], fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, field in zip(header, fields, strict=True):
        try:
            float(field)
        except ValueError:
            yield name, field


def _narrow(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows becomes infinity, which is refused later
        return numbers.astype(np.float32)


def _numbers(column: Any) -> NDArray[np.float64]:
    """Return a Parquet column as numbers, NaN where it is null."""
    try:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refuse("dtype", f"a column of {column.type} doesn't hold numbers") from error


def _check_count(n_rows: int, n_items: int) -> None:
    if n_rows != n_items:
        raise refuse("count_mismatch", f"{n_rows} rows, the data set has {n_items} items")
