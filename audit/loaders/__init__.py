"""One file per data set format: files in, checked items out."""

from audit.loaders.base import (
    ImportRefused,
    LoadedClass,
    LoadedDataset,
    LoadedExample,
    LoadedItem,
    Problem,
)
from audit.loaders.registry import FORMATS, load_dataset

__all__ = [
    "FORMATS",
    "ImportRefused",
    "LoadedClass",
    "LoadedDataset",
    "LoadedExample",
    "LoadedItem",
    "Problem",
    "load_dataset",
]
