"""Multiple-choice questions as JSONL: one object a line, in whatever spelling they were published.

A folder holds one file per split, such as ``test.jsonl`` or ``ARC-Easy-Test.jsonl``; its dev split
becomes the examples that few-shot prompts show.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from audit.loaders.base import LoadedDataset, refuse
from audit.loaders.question_files import QuestionFile, load_questions
from audit.loaders.rows import read_json_records
from audit.loaders.splits import EXAMPLES, choose_split, group_by_split, split_of


def load_jsonl_mcq(
    path: Path,
    *,
    classes_file: Path | None = None,
    root: Path | None = None,
    split: str | None = None,
) -> LoadedDataset:
    """Read one file, or of a folder the ``split``: the only one, else ``test``."""
    if classes_file is not None or root is not None:
        raise refuse("classes", "the classes are the letters of the choices: no --classes, --root")
    if not path.is_dir():
        name = split_of(path)
        if split not in {None, name}:
            raise refuse("split", f"{path.name} is one file; leave --split out")
        return load_questions(path, name, _open([path]))
    splits = group_by_split(path.glob("*.jsonl"))
    if not splits:
        raise refuse("missing", f"{path} has no *.jsonl")
    name = choose_split(splits, split, path)
    examples = splits.get(EXAMPLES, []) if name != EXAMPLES else []
    return load_questions(path, name, _open(splits[name]), _open(examples))


def _open(paths: Iterable[Path]) -> list[QuestionFile]:
    return [QuestionFile(path.name, partial(read_json_records, path)) for path in paths]
