"""Hugging Face data sets on disk: what kind of item one holds is told by its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.loaders.base import LoadedDataset, refuse
from audit.loaders.hf_images import load_hf_images
from audit.loaders.hf_tables import SavedTable, list_saved, open_saved
from audit.loaders.parquet import find_parquet, load_parquet
from audit.loaders.question_files import QuestionFile, load_questions
from audit.loaders.question_records import has_questions
from audit.loaders.splits import EXAMPLES, choose_split


def load_hf(
    path: Path,
    *,
    classes_file: Path | None = None,
    root: Path | None = None,
    split: str | None = None,
) -> LoadedDataset:
    """Read a split saved by ``Dataset.save_to_disk``, or parquet files as they lie on the hub.

    Rows are pictures with one label each, or multiple-choice questions, whose dev split becomes
    the examples that few-shot prompts show.
    """
    if root is not None:
        raise refuse("root", "a saved data set holds its own pictures; leave --root out")
    if files := find_parquet(path):
        _refuse_classes(classes_file)
        return load_parquet(path, files, split)
    folders = list_saved(path)
    name = choose_split(folders, split, path)
    saved = open_saved(folders[name])
    if saved.columns_of_type("Image"):
        return load_hf_images(saved, classes_file)
    if not has_questions(saved.features):
        names = ", ".join(saved.features)
        message = f"neither a column of pictures nor a question with its choices among: {names}"
        raise refuse("missing_column", message)
    _refuse_classes(classes_file)
    solved = [open_saved(folders[EXAMPLES])] if EXAMPLES in folders and name != EXAMPLES else []
    return load_questions(path, name, _open([saved]), _open(solved))


def _open(tables: Sequence[SavedTable]) -> list[QuestionFile]:
    return [QuestionFile(each.folder.name, each.read_rows) for each in tables]


def _refuse_classes(classes_file: Path | None) -> None:
    if classes_file is not None:
        raise refuse("classes", "the classes of questions are their letters; leave --classes out")
