"""Names of formats and the writers behind them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from reviews.release_formats.base import FormatRefusedError, ReleaseFolder, Source, Writer

FORMATS = {  # paths, not classes: a format's own libraries load when it is used
    "csv": "reviews.release_formats.tables.LabelTable",
    "input": "reviews.release_formats.input_again.InputAgain",
    "jsonl": "reviews.release_formats.jsonl.LabelLines",
    "patch": "reviews.release_formats.tables.Patch",
    "exclude": "reviews.release_formats.exclude.ExcludeList",
    "imagenet-txt": "reviews.release_formats.imagenet.ValidationList",
    "loc-csv": "reviews.release_formats.imagenet.SolutionFile",
    "real-json": "reviews.release_formats.real_labels.RealLabels",
    "mmlu-csv": "reviews.release_formats.mmlu.SubjectFiles",
    "hf": "reviews.release_formats.hf.SavedDataset",
    "hf-images": "reviews.release_formats.hf.EmbeddedPictures",
    "cleanlab-csv": "reviews.release_formats.cleanlab.IssueTable",
    "fiftyone": "reviews.release_formats.fiftyone.ClassificationLabels",
    "labelstudio": "reviews.release_formats.labelstudio.Tasks",
}
DEFAULT_FORMATS = ("csv", "patch")
ALWAYS = (  # what makes every change traceable, whatever the labels are written as
    "reviews.release_formats.tables.VoteTable",
    "reviews.release_formats.changes.ChangeTable",
    "reviews.release_formats.evidence.EvidenceLines",
)


MARKED = "reviews.release_formats.tables.UndecidedTable"


def order_formats(formats: Iterable[str]) -> list[str]:
    """Return the formats once each, in the order of ``FORMATS``; refuse one there isn't."""
    asked = set(formats)
    for name in sorted(asked - FORMATS.keys()):
        raise FormatRefusedError(f"{name!r} is not a format; there are: {', '.join(FORMATS)}")
    return [name for name in FORMATS if name in asked]


def check_formats(source: Source, formats: Iterable[str]) -> None:
    """Raise ``FormatRefusedError`` for the first format that the data set can't be written in."""
    for name in order_formats(formats):
        _find(FORMATS[name]).check(source)


def refusals(source: Source) -> dict[str, str]:
    """Return why the data set can't be written in a format, for those where it can't."""
    found = {}
    for name, path in FORMATS.items():
        try:
            _find(path).check(source)
        except FormatRefusedError as refusal:
            found[name] = str(refusal)
    return found


def open_writers(
    source: Source, folder: ReleaseFolder, formats: Iterable[str], *, marks_undecided: bool
) -> list[Writer]:
    """Return a writer for every format asked for, and for what every release holds."""
    paths = [*ALWAYS, *(FORMATS[name] for name in order_formats(formats))]
    if marks_undecided:
        paths.append(MARKED)
    return [_find(path)(source, folder) for path in paths]


def _find(path: str) -> type[Writer]:
    module, _, name = path.rpartition(".")
    found: type[Writer] = getattr(import_module(module), name)
    return found
