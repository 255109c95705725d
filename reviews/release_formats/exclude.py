"""The exclude list: keys of the items that leave the data set, one a line."""

from __future__ import annotations

from reviews.decisions import Action
from reviews.release_formats.base import LabelRow, ReleaseFolder, Source, Writer


class ExcludeList(Writer):
    """``exclude.txt``."""

    def __init__(self, _source: Source, folder: ReleaseFolder) -> None:
        self._text = folder.open_text("exclude.txt")

    def add(self, row: LabelRow) -> None:
        if row.decision.action is Action.EXCLUDED:
            self._text.write(f"{row.key}\n")
