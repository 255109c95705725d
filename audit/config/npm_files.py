"""Serves the few front-end files the pages use, straight from node_modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage, Storage


class NpmFinder(BaseFinder):
    """Find exactly the files named in settings.NPM_FILES, under the names pages use."""

    def check(self, **_: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **_: Any) -> Any:  # noqa: FBT001, FBT002 (Django's signature)
        source = settings.NPM_FILES.get(path)
        if source is None:
            return []
        found = str(Path(settings.NPM_ROOT, source))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:  # noqa: ARG002
        for name in settings.NPM_FILES:
            yield name, NpmStorage()


class NpmStorage(FileSystemStorage):
    """Reads a file of node_modules by the name pages use."""

    prefix = ""

    def path(self, name: str) -> str:
        return str(Path(settings.NPM_ROOT, settings.NPM_FILES[name]))
