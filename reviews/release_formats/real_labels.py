"""ReaL's form: a JSON list with the list of labels that hold per item, empty = leave it out."""

from __future__ import annotations

from reviews.release_formats.base import LabelRow, ReleaseFolder, Source, Writer
from reviews.vote_files.imagenet_numbers import N_CLASSES, N_PICTURES, file_number

NAME = "real.json"


class RealLabels(Writer):
    """``real.json``: by picture number for ImageNet's validation set, else in item order.

    The numbered list always has 50,000 entries, as its readers expect; pictures that aren't in
    the data set have an empty one.
    """

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._text = folder.open_text(NAME)
        self._separator = "["
        self._by_number: dict[int, list[int]] | None = {} if _has_numbers(source) else None

    def add(self, row: LabelRow) -> None:
        number = file_number(row.key) if self._by_number is not None else None
        if self._by_number is None:
            self._write(row.decision.labels)
        elif number is not None:
            self._by_number[number] = row.decision.labels

    def _write(self, labels: list[int]) -> None:
        self._text.write(f"{self._separator}[{', '.join(map(str, labels))}]")
        self._separator = ", "

    def close(self) -> None:
        if self._by_number is not None:
            for number in range(1, N_PICTURES + 1):
                self._write(self._by_number.get(number, []))
        self._text.write("[]" if self._separator == "[" else "]")


def _has_numbers(source: Source) -> bool:
    """Whether every item is a validation picture of ImageNet with a number of its own."""
    dataset = source.dataset
    if dataset.n_classes != N_CLASSES or dataset.n_items > N_PICTURES:
        return False
    keys = dataset.items.values_list("key", flat=True).iterator(chunk_size=5000)
    numbers = [file_number(key) for key in keys]
    return None not in numbers and len(set(numbers)) == len(numbers)
