"""Names of formats and the loaders behind them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

from audit.loaders.base import LoadedDataset, refuse

FORMATS = {  # paths, not functions: a format's own libraries load when it is used
    "hf": "audit.loaders.hf.load_hf",
    "imagefolder": "audit.loaders.imagefolder.load_imagefolder",
    "imagenet": "audit.loaders.imagenet.load_imagenet",
    "jsonl-mcq": "audit.loaders.jsonl_mcq.load_jsonl_mcq",
    "manifest": "audit.loaders.manifest.load_manifest",
    "mmlu": "audit.loaders.mmlu.load_mmlu",
    "tasks": "audit.loaders.tasks.load_tasks",
    "webdataset": "audit.loaders.webdataset.load_webdataset",
}

WITH_SPLITS = ("hf", "jsonl-mcq", "mmlu")


class Loader(Protocol):
    """Reads one format; raises ``ImportRefused`` with everything that is wrong."""

    def __call__(
        self,
        path: Path,
        *,
        classes_file: Path | None = None,
        root: Path | None = None,
        **split: str,
    ) -> LoadedDataset: ...


def load_dataset(
    format_name: str,
    path: Path,
    *,
    classes_file: Path | None = None,
    root: Path | None = None,
    split: str | None = None,
) -> LoadedDataset:
    """Read the data set at ``path``; no image is opened.

    ``classes_file`` names the classes in index order, one per line. ``root`` is the folder that
    image paths are relative to. ``split`` chooses one where the data set has several.
    """
    if format_name not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise refuse("format", f"{format_name!r} is not a known format; known: {known}")
    chosen = {} if split is None else {"split": split}
    if chosen and format_name not in WITH_SPLITS:
        with_splits = ", ".join(WITH_SPLITS)
        raise refuse("split", f"{format_name} has no splits to choose from; {with_splits} have")
    module, _, name = FORMATS[format_name].rpartition(".")
    loader: Loader = getattr(import_module(module), name)
    return loader(Path(path), classes_file=classes_file, root=root, **chosen)
