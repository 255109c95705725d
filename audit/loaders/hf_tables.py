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

from audit.loaders.base import refuse

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


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
            except (pa.ArrowException, OSError) as error:
                raise refuse("format", f"{name} is no Arrow file: {error}") from error
            missing = [column for column in self.features if column not in table.column_names]
            if missing:
                raise refuse("missing_column", f"{name} has no column {missing[0]!r}")
            yield name, whole, table


def open_saved(path: Path) -> SavedTable:
    """Return the split saved in ``path``; of a folder of several, say their names instead."""
    if not path.is_dir():
        raise refuse("missing", f"there is no folder {path}")
    if (path / SPLITS).is_file():
        splits = _read_object(path / SPLITS).get("splits")
        folders = ", ".join(str(path / str(name)) for name in splits or ())
        raise refuse("format", f"{path} holds several splits; give one of: {folders}")
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
