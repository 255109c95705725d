"""A release as one tar archive that exists nowhere: laid out by its manifest, sent from its files.

The same release is the same archive to the byte, and any range of it can be sent by itself.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.hashed_folders import MANIFEST

Part = bytes | tuple[Path, int]  # as it is, or a file of so many bytes
BLOCK = 1 << 16


def lay_out(folder: Path, manifest: dict[str, Any], name: str) -> list[Part]:
    """Return the archive's parts in order, below the folder ``name``, without dates or owners."""
    files = {file: int(said["bytes"]) for file, said in manifest["files"].items()}
    files[MANIFEST] = (folder / MANIFEST).stat().st_size
    parts: list[Part] = []
    for file, size in sorted(files.items()):
        entry = tarfile.TarInfo(f"{name}/{file}")
        entry.size, entry.mode = size, 0o644
        header = entry.tobuf(tarfile.PAX_FORMAT)
        padding = bytes(-size % tarfile.BLOCKSIZE)
        parts += [header, (folder / file, size), padding]
    end = 2 * tarfile.BLOCKSIZE
    return [*parts, bytes(end + -(measure(parts) + end) % tarfile.RECORDSIZE)]


def measure(parts: list[Part]) -> int:
    """Return how many bytes the parts have together."""
    return sum(len(part) if isinstance(part, bytes) else part[1] for part in parts)


def read_range(parts: list[Part], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes [start, stop) of all parts one after the other."""
    begins = 0
    for part in parts:
        size = len(part) if isinstance(part, bytes) else part[1]
        first, last = max(start - begins, 0), min(stop - begins, size)
        begins += size
        if first >= last:
            continue
        if isinstance(part, bytes):
            yield part[first:last]
        else:
            yield from _read_file(part[0], first, last)


def _read_file(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        left = stop - start
        while left > 0 and (block := stream.read(min(BLOCK, left))):
            left -= len(block)
            yield block
    if left:
        # The connection breaks off; whoever waits for the rest must not take less for all.
        raise OSError(f"{path} is shorter than its manifest says")
