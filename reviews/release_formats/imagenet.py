"""ImageNet's own label files: ``val.txt`` and Kaggle's ``LOC_val_solution.csv``."""

from __future__ import annotations

from pathlib import PurePosixPath

from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)


class ValidationList(Writer):
    """``val.txt``: file name and class index, separated by one blank, of every item that stays."""

    @classmethod
    def check(cls, source: Source) -> None:
        if source.has_questions:
            raise FormatRefusedError("imagenet-txt lists pictures; this data set has questions")
        odd = source.dataset.items.filter(key__contains=" ").values_list("key", flat=True).first()
        if odd is not None:
            raise FormatRefusedError(
                f"imagenet-txt separates name and class by a blank; the key {odd!r} has one"
            )

    def __init__(self, _source: Source, folder: ReleaseFolder) -> None:
        self._text = folder.open_text("val.txt")

    def add(self, row: LabelRow) -> None:
        if row.decision.cleaned_label is not None:
            self._text.write(f"{row.key} {row.decision.cleaned_label}\n")


class SolutionFile(Writer):
    """``LOC_val_solution.csv``: the WordNet id of every picture that stays, and a box.

    Boxes aren't labels here: each is the whole picture (or nothing where its size is unknown).
    """

    @classmethod
    def check(cls, source: Source) -> None:
        if source.has_questions:
            raise FormatRefusedError("loc-csv lists pictures; this data set has questions")
        nameless = next((each for each in source.classes if not each.wordnet_id), None)
        if nameless is not None:
            raise FormatRefusedError(
                f"loc-csv names classes by their WordNet ids; {nameless.name!r} has none"
            )

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._synsets = [each.wordnet_id for each in source.classes]
        self._table = folder.open_table("LOC_val_solution.csv", ("ImageId", "PredictionString"))

    def add(self, row: LabelRow) -> None:
        label = row.decision.cleaned_label
        if label is not None:
            name = PurePosixPath(row.key).name
            picture = name.rpartition(".")[0] or name
            box = f"{self._synsets[label]} 0 0 {row.width} {row.height}"
            self._table.writerow((picture, box))
