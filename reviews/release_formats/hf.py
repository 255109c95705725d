"""A Hugging Face data set on disk, as ``datasets.load_from_disk`` opens it.

Written with Arrow alone, batch by batch. Two things make `datasets`' own files differ from run to
run: the fingerprint in the state, which is drawn at random, and metadata of the schema that
depend on how the table was made. Here the fingerprint is a hash of what the rows are made of, and
the schema says the features and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pyarrow as pa

from reviews.release_formats.base import LabelRow, ReleaseFolder, Source, Writer

FOLDER = "hf"
ARROW = "data-00000-of-00001.arrow"
BATCH = 1000
TEXT = {"dtype": "string", "_type": "Value"}


class SavedDataset(Writer):
    """``hf/``: every item that stays, with its cleaned label and all labels that hold."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._features = _list_features(source)
        # Readers look the labels' names up by the schema's own note of the features.
        note = json.dumps({"info": {"features": self._features}})
        self._schema = pa.schema(
            [(name, _arrow_type(feature)) for name, feature in self._features.items()],
            metadata={"huggingface": note},
        )
        self._folder = folder
        self._digest = hashlib.sha256(note.encode())
        self._sink = folder.open_binary(f"{FOLDER}/{ARROW}")
        self._stream = pa.ipc.new_stream(pa.PythonFile(_KeptOpen(self._sink)), self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: LabelRow) -> None:
        label = row.decision.cleaned_label
        if label is None:
            return
        self._rows.append(
            {
                "key": row.key,
                "label": label,
                "labels": row.decision.labels,
                "given_label": row.given_label,
                "action": row.decision.action.value,
                "image_path": row.image,
                "question": row.question,
                "choices": list(row.choices),
                "subject": row.subject,
            }
        )
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        columns = [[row[name] for row in self._rows] for name in self._features]
        self._digest.update(repr(columns).encode())
        arrays = [
            pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._stream.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._rows.clear()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._stream.close()
        info = {
            "citation": "", "description": "", "features": self._features,
            "homepage": "", "license": "",
        }  # fmt: skip
        state: dict[str, Any] = {
            "_data_files": [{"filename": ARROW}],
            "_fingerprint": self._digest.hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        for name, content in (("dataset_info.json", info), ("state.json", state)):
            self._folder.open_text(f"{FOLDER}/{name}").write(json.dumps(content, indent=2))


class _KeptOpen(io.RawIOBase):
    """A stream that Arrow may write to, but not close."""

    def __init__(self, stream: io.BufferedWriter[Any]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._stream.write(content)


def _list_features(source: Source) -> dict[str, Any]:
    label = {"names": list(source.names), "_type": "ClassLabel"}
    features: dict[str, Any] = {"key": TEXT}
    if source.has_questions:
        choices = {"feature": TEXT, "_type": "List"}
        features |= {"question": TEXT, "choices": choices, "subject": TEXT}
    elif source.dataset.has_pictures:
        features["image_path"] = TEXT
    return features | {
        "label": label,
        "labels": {"feature": label, "_type": "List"},
        "given_label": label,
        "action": TEXT,
    }


def _arrow_type(feature: dict[str, Any]) -> pa.DataType:
    if feature["_type"] == "List":
        return pa.list_(_arrow_type(feature["feature"]))
    return pa.int64() if feature["_type"] == "ClassLabel" else pa.string()
