"""MMLU's form: ``test/SUBJECT_test.csv`` without headers, with the dev rows it came with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_uppercase
from typing import Any

from audit.models import FewShotExample
from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)

FOLDER = "mmlu"
SAFE_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
MOST_SUBJECTS = 400  # each is an open file


class SubjectFiles(Writer):
    """``mmlu/test/SUBJECT_test.csv``: question, choices, letter of the key; text byte for byte.

    Questions that are excluded are left out, so the rows after them move up. Where a subject has
    none, the data set's name stands for it.
    """

    @classmethod
    def check(cls, source: Source) -> None:
        if not source.has_questions:
            raise FormatRefusedError("mmlu-csv holds questions; this data set has pictures")
        subjects = set(source.dataset.items.order_by().values_list("subject", flat=True).distinct())
        subjects |= set(_examples(source).values_list("subject", flat=True).distinct())
        for subject in sorted(subjects - {""}):
            if not SAFE_SUBJECT.fullmatch(subject):
                raise FormatRefusedError(
                    f"mmlu-csv makes files of subjects; {subject[:60]!a} can't be a file's name"
                )
        if len(subjects) > MOST_SUBJECTS:
            raise FormatRefusedError(
                f"mmlu-csv makes a file per subject; {len(subjects)} are over {MOST_SUBJECTS}"
            )

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._folder, self._fallback = folder, source.dataset.slug
        self._tables: dict[str, Any] = {}
        for example in _examples(source).order_by("position"):
            texts = (example.question, *example.choices)
            self._write("dev", example.subject, texts, example.answer)

    def add(self, row: LabelRow) -> None:
        if row.decision.cleaned_label is not None:
            texts = (row.question, *row.choices)
            self._write("test", row.subject, texts, row.decision.cleaned_label)

    def _write(self, split: str, subject: str, texts: Iterable[str], answer: int) -> None:
        name = f"{FOLDER}/{split}/{subject or self._fallback}_{split}.csv"
        if name not in self._tables:
            self._tables[name] = self._folder.open_table(name)
        self._tables[name].writerow((*texts, ascii_uppercase[answer]))


def _examples(source: Source) -> Any:
    return FewShotExample.objects.filter(dataset=source.dataset).order_by()
