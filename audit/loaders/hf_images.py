"""Pictures of a saved Hugging Face data set: workers read them from inside its Arrow files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa

from audit.image_files import piece_address
from audit.loaders.base import LoadedClass, LoadedDataset, LoadedItem, ProblemList, refuse
from audit.loaders.class_names import LabelReader, name_classes, read_classes
from audit.loaders.hf_tables import SavedTable
from audit.loaders.item_fields import KeyReader

KEY_COLUMNS = ("key", "id", "image_id")
LABEL_COLUMNS = ("label", "labels")

_OFFSETS = {"binary": np.int32, "large_binary": np.int64}


def load_hf_images(saved: SavedTable, classes_file: Path | None) -> LoadedDataset:
    """Return the items of a split with one picture and one label per row.

    Classes are those of ``classes_file``, else of the label's own feature, else numbers. The key is
    a column called key, id or image_id, else the picture's file name where all have one of their
    own, else the row's number.
    """
    pictures = _choose(saved.columns_of_type("Image"), ("image", "img"), saved)
    named = saved.columns_of_type("ClassLabel")
    numbers = [name for name in saved.columns_of_type("Value") if name in LABEL_COLUMNS]
    label = _choose(named or numbers, LABEL_COLUMNS, saved)
    labels = LabelReader(_find_classes(saved, label, classes_file))
    addresses: list[str] = []
    names: list[str] = []
    values: list[Any] = []
    given: list[Any] = []
    key_column = next((name for name in KEY_COLUMNS if name in saved.features), None)
    for name, whole, table in saved.read():
        kind = table.schema.field(pictures).type
        parts = ("bytes", "path")
        if not pa.types.is_struct(kind) or min(map(kind.get_field_index, parts)) < 0:
            raise refuse("format", f"{name}: column {pictures!r} holds no bytes with their path")
        for chunk in table[pictures].chunks:
            addresses += _locate(name, whole, chunk)
            paths = chunk.field("path").to_pylist()
            names += [PurePath(path or "").name for path in paths]
        values += table[label].to_pylist()
        if key_column is not None:
            given += [str(value) for value in table[key_column].to_pylist()]
    keys = given or _choose_keys(names)
    problems, reader = ProblemList(), KeyReader()
    items = []
    for number, (key, address, value) in enumerate(zip(keys, addresses, values, strict=True), 1):
        if not address:
            problems.add(number, pictures, "missing_image", "no picture")
        is_new = reader.check(number, key, problems)
        index = labels.read_value(number, value, problems)
        if is_new and index is not None:
            items.append(LoadedItem(key=key, label=index, image=address))
    problems.raise_if_any()
    if not items:
        raise refuse("empty", f"no rows in {saved.folder}")
    notices = labels.notices() if labels.classes is None else ()
    root = saved.folder.resolve()
    return LoadedDataset("image", labels.list_classes(), tuple(items), root, notices=notices)


def _choose(columns: Sequence[str], usual: Sequence[str], saved: SavedTable) -> str:
    """Return the only one of ``columns``, or of several the one that is called as usual."""
    called = [name for name in usual if name in columns]
    if len(columns) == 1 or called:
        return called[0] if called else columns[0]
    names = ", ".join(saved.features)
    raise refuse("missing_column", f"which column is the {usual[0]}? there are: {names}")


def _find_classes(
    saved: SavedTable, label: str, classes_file: Path | None
) -> Sequence[LoadedClass] | None:
    if classes_file is not None:
        return read_classes(classes_file)
    names = saved.features[label].get("names")
    if not names:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refuse("class_name", f"the names of column {label!r} are no list of texts")
    return name_classes(names)


def _locate(name: str, whole: Any, chunk: Any) -> Iterator[str]:
    """Yield where each picture of a chunk lies: in this file, in one beside it, or nowhere."""
    bytes_of = chunk.field("bytes")
    offset_type = _OFFSETS.get(str(bytes_of.type))
    if offset_type is None:
        raise refuse("format", f"{name}: pictures are stored as {bytes_of.type}")
    _, offsets_buffer, values = bytes_of.buffers()
    first, last = bytes_of.offset, bytes_of.offset + len(bytes_of) + 1
    offsets = np.frombuffer(offsets_buffer, dtype=offset_type)[first:last].astype(np.int64)
    start = 0 if values is None else values.address - whole.address
    if values is not None and not 0 <= start <= whole.size - values.size:
        raise refuse("format", f"{name} is compressed; save it without compression")
    paths = chunk.field("path").to_pylist()
    present = zip(chunk.is_valid().to_pylist(), bytes_of.is_valid().to_pylist(), strict=True)
    for place, is_there in enumerate(present):
        if all(is_there):
            length = int(offsets[place + 1] - offsets[place])
            yield piece_address(name, start + int(offsets[place]), length)
        else:
            yield paths[place] or ""


def _choose_keys(names: Sequence[str]) -> list[str]:
    if all(names) and len(set(names)) == len(names):
        return list(names)
    return [str(row) for row in range(len(names))]
