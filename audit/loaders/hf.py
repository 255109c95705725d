"""Hugging Face data sets on disk: what kind of item one holds is told by its features."""

from __future__ import annotations

from pathlib import Path

from audit.loaders.base import LoadedDataset, refuse
from audit.loaders.hf_images import load_hf_images
from audit.loaders.hf_tables import open_saved


def load_hf(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read one split saved by ``Dataset.save_to_disk``: pictures with one label each."""
    if root is not None:
        raise refuse("root", "a saved data set holds its own pictures; leave --root out")
    saved = open_saved(path)
    if saved.columns_of_type("Image"):
        return load_hf_images(saved, classes_file)
    names = ", ".join(saved.features)
    raise refuse("missing_column", f"no column of pictures among: {names}")
