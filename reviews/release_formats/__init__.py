"""The files of a release: one module per format, behind a registry of paths."""

from reviews.release_formats.base import FormatRefusedError, LabelRow, ReleaseFolder, Source, Writer
from reviews.release_formats.registry import DEFAULT_FORMATS, FORMATS, check_formats, open_writers

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "FormatRefusedError",
    "LabelRow",
    "ReleaseFolder",
    "Source",
    "Writer",
    "check_formats",
    "open_writers",
]
