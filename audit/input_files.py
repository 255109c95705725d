"""The file that a data set came in, kept so that its labels can go out in the same shape."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from audit.durable_files import write_durably
from audit.models import Dataset

FORMATS = ("manifest", "jsonl-mcq")  # one file with a record per item, in the items' order
BLOCK = 1 << 20


def input_folder(dataset_id: int) -> Path:
    """Return where the files that a data set came in are kept."""
    return Path(settings.LABEL_AUDIT_HOME, "inputs", str(dataset_id))


def keep_input(dataset: Dataset, path: Path) -> None:
    """Keep the file that a data set was read from, if it is one file of records."""
    if dataset.source_format in FORMATS and path.is_file():
        with path.open("rb") as stream:
            blocks = iter(lambda: stream.read(BLOCK), b"")
            write_durably(input_folder(dataset.pk) / path.name, blocks)


def find_input(dataset: Dataset) -> Path | None:
    """Return the kept file, or None where the data set didn't come in one."""
    return next(iter(sorted(input_folder(dataset.pk).glob("*"))), None)


def forget_input(dataset_id: int) -> None:
    """Remove what was kept of a data set that is gone."""
    shutil.rmtree(input_folder(dataset_id), ignore_errors=True)
