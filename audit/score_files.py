"""Where files of scores lie: a folder of this machine, or an object store that several share.

A file is named by the number of its score set and its own name. Reading gives a path on this
machine: files of an object store are fetched once into a cache, by their sha256.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import obstore
from django.conf import settings
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from audit.durable_files import sync_folder, write_whole

OBJECT_SCHEMES = ("s3://", "gs://", "az://")
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
FETCH_BYTES = 1 << 20
# What a killed process had not brought to its end.
LEFT_BEHIND_SECONDS = 86_400


class DamagedFileError(OSError):
    """A file isn't what was written."""


class ScoreFiles(Protocol):
    """Files of scores, by key ``<score set>/<name>``.

    What is put may get lost in a power cut until `settle` has been called for its score set.

    A file that isn't there raises FileNotFoundError, any other trouble another OSError.
    """

    is_local: bool

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Store a file, whole or not at all; return its sha256."""
        ...

    def locate(self, key: str, sha256: str = "") -> Path:
        """Return the file's path on this machine, fetched and checked where it lay elsewhere."""
        ...

    def forget(self, sha256: str) -> None:
        """Drop this machine's copy, if it is but a copy."""
        ...

    def settle(self, score_set_id: int) -> None:
        """Make what was put last through a power cut."""
        ...

    def names(self, score_set_id: int) -> list[str]: ...

    def remove(self, key: str) -> None: ...


class LocalFiles:
    """A folder."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        return write_whole(self.folder / key, chunks)

    def locate(self, key: str, sha256: str = "") -> Path:  # noqa: ARG002 - nothing to fetch
        return self.folder / key

    def forget(self, sha256: str) -> None:
        """Do nothing: these are the files themselves."""

    def settle(self, score_set_id: int) -> None:
        folder = self.folder / str(score_set_id)
        for path in folder.glob("*"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(folder)

    def names(self, score_set_id: int) -> list[str]:
        return sorted(path.name for path in (self.folder / str(score_set_id)).glob("*"))

    def remove(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)


class ObjectFiles:
    """An object store, read through a cache folder of this machine."""

    is_local = False

    def __init__(self, address: str, store: ObjectStore, cache: Path) -> None:
        self.address = address
        self.cache = cache
        self._store = store

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        # By way of the cache: whoever wrote a shard is likely to read it, and the upload needs
        # to know the size.
        arriving = self._arrival("upload")
        digest = write_whole(arriving, chunks)
        try:
            with _as_os_errors():
                obstore.put(self._store, key, arriving)
        except OSError:
            arriving.unlink()
            raise
        self._keep(arriving, digest)
        return digest

    def locate(self, key: str, sha256: str = "") -> Path:
        cached = self._path(sha256)
        if sha256 and cached.exists():
            os.utime(cached)  # recently used: the last to go
            return cached
        arriving = self._arrival("download")
        with _as_os_errors():
            digest = write_whole(arriving, self._fetch(key))
        if sha256 and digest != sha256:
            arriving.unlink()
            raise DamagedFileError(f"{key}: the stored object isn't what was written")
        return self._keep(arriving, digest)

    def forget(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def settle(self, score_set_id: int) -> None:
        """Do nothing: the store keeps what it has taken."""

    def names(self, score_set_id: int) -> list[str]:
        with _as_os_errors():
            pages = list(obstore.list(self._store, f"{score_set_id}/"))
        return sorted(found["path"].rpartition("/")[2] for page in pages for found in page)

    def remove(self, key: str) -> None:
        with _as_os_errors():
            obstore.delete(self._store, key)

    def _fetch(self, key: str) -> Iterator[bytes]:
        for block in obstore.get(self._store, key).stream(min_chunk_size=FETCH_BYTES):
            yield bytes(block)

    def _arrival(self, what: str) -> Path:
        return self.cache / f"{what}-{os.getpid()}-{threading.get_ident()}"

    def _path(self, sha256: str) -> Path:
        return self.cache / sha256[:2] / sha256

    def _keep(self, arriving: Path, sha256: str) -> Path:
        kept = self._path(sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        arriving.replace(kept)
        self._make_room(kept)
        return kept

    def _make_room(self, newest: Path) -> None:
        """Remove what wasn't used for the longest time; who has it mapped goes on reading."""
        for left_behind, stat in _files(self.cache.glob("*load-*")):
            if time.time() - stat.st_mtime > LEFT_BEHIND_SECONDS:
                left_behind.unlink(missing_ok=True)
        files = sorted(_files(self.cache.glob("??/*")), key=lambda file: file[1].st_mtime)
        excess = sum(stat.st_size for _, stat in files) - settings.SCORE_CACHE_BYTES
        for path, stat in files:
            if excess <= 0 or path == newest:
                return
            path.unlink(missing_ok=True)
            excess -= stat.st_size


def _files(paths: Iterable[Path]) -> list[tuple[Path, os.stat_result]]:
    """Return the files and what is known of them; other processes may remove some meanwhile."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append((path, path.stat()))
    return found


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        # What follows is the library's own view of it, a page long.
        message = str(error).partition("\n\nDebug source")[0]
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
        raise kind(f"the score store failed: {message}") from error


def score_files() -> ScoreFiles:
    """Return the files of this installation's scores."""
    # By process: the object store's threads don't survive a fork.
    return _open(settings.SCORE_STORE, settings.LABEL_AUDIT_HOME, os.getpid())


@lru_cache(maxsize=1)
def _open(address: str, home: Path, _process: int) -> ScoreFiles:
    if not address.startswith(OBJECT_SCHEMES):
        return LocalFiles(Path(address) if address else home / "scores")
    # Without TLS only where the endpoint's address says so.
    plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINT_VARIABLES)
    store = from_url(
        address,
        client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": "600s"},
        retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=30)},
    )
    return ObjectFiles(address, store, home / "score_cache")
