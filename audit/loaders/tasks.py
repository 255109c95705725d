"""Tasks whose answers are written, not chosen: CSV or JSONL with one task per row, no labels.

Grade-school maths or programs have no classes: what an answer is worth is imported with it
(`import_scores --kind correctness`), so such items serve cascades and no audit.
"""

from __future__ import annotations

from pathlib import Path

from audit.loaders.base import LoadedDataset, LoadedItem, ProblemList, refuse
from audit.loaders.item_fields import KeyReader, read_texts
from audit.loaders.rows import read_rows

REQUIRED = ("key",)
COLUMNS = ("key", "question", "subject")


def load_tasks(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read the tasks: a ``key`` each, and a ``question`` and a ``subject`` where there are any."""
    if classes_file is not None or root is not None:
        raise refuse("classes", "tasks have neither classes nor pictures: no --classes, no --root")
    if path.is_dir():
        raise refuse("format", f"{path} is a folder; give the CSV or JSONL file")
    problems, keys = ProblemList(), KeyReader()
    items: list[LoadedItem] = []
    for row in read_rows(path, REQUIRED, COLUMNS, problems):
        key = row.fields["key"]
        is_new = keys.check(row.number, key, problems)
        texts = read_texts(row, ("question", "subject"), problems)
        if is_new and texts is not None:
            items.append(
                LoadedItem(key, None, question=texts["question"], subject=texts["subject"])
            )
    problems.raise_if_any()
    if not items:
        raise refuse("empty", f"{path.name} has no tasks")
    return LoadedDataset(kind="task", classes=(), items=tuple(items))
