"""FiftyOne's ``FiftyOneImageClassificationDataset``: the labels, its pictures stay where they are.

Opened with ``Dataset.from_dir(dataset_type=..., data_path=ROOT, labels_path="fiftyone.json")``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

import numpy as np

from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)


class ClassificationLabels(Writer):
    """``fiftyone.json``: label and attributes by the picture's path without its ending."""

    @classmethod
    def check(cls, source: Source) -> None:
        if not source.dataset.has_pictures:
            raise FormatRefusedError("fiftyone needs pictures; this data set has none here")
        if source.has_pictures_in_archives:
            raise FormatRefusedError("fiftyone reads picture files; these lie inside archives")

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._names = source.names
        self._text = folder.open_text("fiftyone.json")
        self._stems = np.zeros(source.dataset.n_items, dtype=np.uint64)
        classes = json.dumps(list(source.names), ensure_ascii=False)
        self._text.write(f'{{"classes": {classes}, "labels": {{')
        self._separator = ""

    def add(self, row: LabelRow) -> None:
        stem = str(PurePosixPath(row.image).with_suffix(""))
        digest = hashlib.sha256(stem.encode()).digest()
        self._stems[row.position] = int.from_bytes(digest[:8], "big")
        decision = row.decision
        if decision.cleaned_label is None:
            return
        document = {
            "label": self._names[decision.cleaned_label],
            "attributes": {
                "key": row.key,
                "given_label": self._names[row.given_label],
                "also_labels": [self._names[label] for label in decision.also_labels],
                "action": decision.action.value,
                "n_votes": decision.n_votes,
            },
        }
        entry = (
            f"{json.dumps(stem, ensure_ascii=False)}: {json.dumps(document, ensure_ascii=False)}"
        )
        self._text.write(f"{self._separator}\n{entry}")
        self._separator = ","

    def close(self) -> None:
        if len(np.unique(self._stems)) != len(self._stems):
            raise FormatRefusedError(
                "fiftyone knows pictures by their path without its ending, and two are the same"
            )
        self._text.write("\n}}\n")
