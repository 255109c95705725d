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
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from audit.image_files import UnusableImage, read_file
from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)

ARROW = "data-00000-of-00001.arrow"
TEXT = {"dtype": "string", "_type": "Value"}


class SavedDataset(Writer):
    """``hf/``: every item that stays, with its cleaned label and all labels that hold."""

    folder_name = "hf"
    batch = 1000

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._features = self._list_features(source)
        # Readers look the labels' names up by the schema's own note of the features.
        note = json.dumps({"info": {"features": self._features}})
        self._schema = pa.schema(
            [(name, _arrow_type(feature)) for name, feature in self._features.items()],
            metadata={"huggingface": note},
        )
        self._folder = folder
        self._digest = hashlib.sha256(note.encode())
        self._sink = folder.open_binary(f"{self.folder_name}/{ARROW}")
        self._stream = pa.ipc.new_stream(pa.PythonFile(_KeptOpen(self._sink)), self._schema)
        self._rows: list[dict[str, Any]] = []

    @staticmethod
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

    def add(self, row: LabelRow) -> None:
        label = row.decision.cleaned_label
        if label is None:
            return
        self._rows.append(self._describe(row, label))
        if len(self._rows) >= self.batch:
            self._flush()

    def _describe(self, row: LabelRow, label: int) -> dict[str, Any]:
        return {
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

    def _flush(self) -> None:
        columns = [[row[name] for row in self._rows] for name in self._features]
        self._digest.update(
            repr([[_name(value) for value in column] for column in columns]).encode()
        )
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
            self._folder.open_text(f"{self.folder_name}/{name}").write(
                json.dumps(content, indent=2)
            )


class EmbeddedPictures(SavedDataset):
    """``hf-images/``: the same with the pictures themselves, byte for byte as imported."""

    folder_name = "hf-images"
    batch = 100  # pictures of a tenth of a megabyte each

    @classmethod
    def check(cls, source: Source) -> None:
        if not source.dataset.has_pictures:
            raise FormatRefusedError("hf-images holds pictures; this data set has none here")

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        super().__init__(source, folder)
        self._root = source.dataset.folder

    @staticmethod
    def _list_features(source: Source) -> dict[str, Any]:
        features = SavedDataset._list_features(source)
        del features["image_path"]
        return {"image": {"_type": "Image"}, **features}

    def _describe(self, row: LabelRow, label: int) -> dict[str, Any]:
        return super()._describe(row, label) | {"image": self._read(row)}

    def _read(self, row: LabelRow) -> dict[str, Any] | None:
        if row.is_quarantined:
            return None  # its picture can't be used: there may be none
        try:
            content = read_file(self._root, row.image)
        except UnusableImage as problem:
            raise FormatRefusedError(
                f"hf-images needs every picture; {row.key}: {problem}"
            ) from problem
        if row.content_sha256 and hashlib.sha256(content).hexdigest() != row.content_sha256:
            raise FormatRefusedError(f"hf-images: {row.key} isn't the picture that was imported")
        return {"bytes": content, "path": PurePosixPath(row.key).name}


def _name(value: Any) -> Any:
    """Return what stands for a value in the fingerprint: of a picture, its hash."""
    if isinstance(value, dict):
        return hashlib.sha256(value["bytes"]).hexdigest()
    return value


class _KeptOpen(io.RawIOBase):
    """A stream that Arrow may write to, but not close."""

    def __init__(self, stream: io.BufferedWriter[Any]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._stream.write(content)


def _arrow_type(feature: dict[str, Any]) -> pa.DataType:
    if feature["_type"] == "List":
        return pa.list_(_arrow_type(feature["feature"]))
    if feature["_type"] == "Image":
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.int64() if feature["_type"] == "ClassLabel" else pa.string()
