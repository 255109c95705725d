"""The data set again, one JSON object a line, as ``import_dataset --format manifest`` reads it."""

from __future__ import annotations

import json
from typing import Any

from reviews.release_formats.base import LabelRow, ReleaseFolder, Source, Writer


class LabelLines(Writer):
    """``labels.jsonl``: every item that stays, with its cleaned label, in the data set's order."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._text = folder.open_text("labels.jsonl")
        self._has_questions = source.has_questions
        self._has_pictures = source.dataset.has_pictures

    def add(self, row: LabelRow) -> None:
        label = row.decision.cleaned_label
        if label is None:
            return
        fields: dict[str, Any] = {"key": row.key, "label": label}
        if self._has_pictures:
            fields["image"] = row.image
        if self._has_questions:
            fields |= {"question": row.question, "choices": list(row.choices)}
            fields["subject"] = row.subject
        self._text.write(f"{json.dumps(fields, ensure_ascii=False)}\n")
