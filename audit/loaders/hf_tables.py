"""A Hugging Face data set saved on disk (`Dataset.save_to_disk`): Arrow files and their features.

Read with Arrow alone: nothing of the folder is run, and nothing is copied into a cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit.loaders.base import ProblemList, refuse
from audit.loaders.rows import Row, check_texts

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
ROWS_PER_READ = 1000


@dataclass(frozen=True, slots=True)
class SavedTable:
    """One split as it lies on disk: its features by column, and its Arrow files in order."""

    folder: Path
    features: Mapping[str, Any]
    files: tuple[str, ...]

    def columns_of_type(self, *kinds: str) -> list[str]:
        """Return the columns whose feature is of one of these types, such as ``Image``."""
        return [
            name
            for name, feature in self.features.items()
            if isinstance(feature, dict) and feature.get("_type") in kinds
        ]

    def read(self) -> Iterator[tuple[str, Any, Any]]:
        """Yield per Arrow file its name, the whole file as a buffer, and the table inside.

        Both are memory-mapped: the table's buffers lie inside the first.
        """
        for name in self.files:
            try:
                mapped = pa.memory_map(str(self.folder / name))
                whole = mapped.read_buffer()
                mapped.seek(0)
                table = pa.ipc.open_stream(mapped).read_all()
                names = table.column_names
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise refuse("format", f"{name} is no Arrow file: {error}") from error
            # A length that lies would end the whole process as soon as it is used.
            check_arrow(name, table)
            missing = [column for column in self.features if column not in names]
            if missing:
                raise refuse("missing_column", f"{name} has no column {missing[0]!r}")
            yield name, whole, table

    def read_rows(self, problems: ProblemList) -> Iterator[Row]:
        """Yield the rows as plain fields, counted from 1 over all files."""
        number = 0
        for _name, _whole, table in self.read():
            for batch in table.to_batches(ROWS_PER_READ):
                yield from read_batch(batch, number, problems)
                number += batch.num_rows


def check_arrow(name: str, table: Any) -> None:
    """Refuse an Arrow table or batch whose lengths, offsets or texts aren't what they say."""
    try:
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        code = "encoding" if "UTF8" in str(error) else "format"
        raise refuse(code, f"{name} is damaged: {error}") from error


def read_batch(batch: Any, n_before: int, problems: ProblemList) -> Iterator[Row]:
    """Yield the rows of a checked Arrow batch, the first counted ``n_before`` + 1."""
    for number, record in enumerate(batch.to_pylist(), start=n_before + 1):
        if check_texts(number, record, problems):
            yield Row(number, record)


def list_saved(path: Path) -> dict[str, Path]:
    """Return the folders of the splits saved in ``path``; the only one may have no name."""
    if not path.is_dir():
        raise refuse("missing", f"there is no folder {path}")
    if not (path / SPLITS).is_file():
        state = _read_object(path / STATE) if (path / STATE).is_file() else {}
        name = state.get("_split")
        return {name if isinstance(name, str) else "": path}
    names = _read_object(path / SPLITS).get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refuse("format", f"{path / SPLITS} is not what `datasets` writes")
    for name in names:
        if not name or "/" in name or name.startswith("."):
            raise refuse("unsafe_path", f"{SPLITS} names {name[:60]!a}, which is no folder in it")
    return {name: path / name for name in names}


def open_saved(path: Path) -> SavedTable:
    """Return the split saved in ``path``."""
    if not (path / STATE).is_file():
        message = f"{path} is no saved data set: it has no {STATE} (see Dataset.save_to_disk)"
        raise refuse("format", message)
    features = _read_object(path / INFO).get("features")
    files = _read_object(path / STATE).get("_data_files")
    if not isinstance(features, dict) or not isinstance(files, list) or not files:
        raise refuse("format", f"{path}: {INFO} or {STATE} is not what `datasets` writes")
    names = tuple(str(entry.get("filename")) for entry in files if isinstance(entry, dict))
    for name in names:
        if "/" in name or name.startswith(".") or not name.endswith(".arrow"):
            raise refuse("unsafe_path", f"{STATE} names {name[:60]!a}, which is no file beside it")
        if not (path / name).is_file():
            raise refuse("missing", f"{path / name} is not there")
    return SavedTable(path, features, names)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refuse("json", f"{path} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise refuse("json", f"{path} is not a JSON object")
    return value
