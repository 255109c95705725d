"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def write_durably(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file so that it is there whole or not at all, for good; return its sha256."""
    digest = write_whole(path, chunks, sync=True)
    sync_folder(path.parent)
    return digest


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, chunks: Iterable[bytes], *, sync: bool = False) -> str:
    """Write a file so that no reader sees a part of it; return its sha256.

    Unless `sync` is asked for, a power cut may take it away again, or leave a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        # A full disk must not stay full of what didn't fit.
        temporary.unlink(missing_ok=True)
        raise
    return digest.hexdigest()
