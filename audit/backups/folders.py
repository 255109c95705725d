"""A backup's folder: made whole or not at all, and brought back only if every byte is right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from audit.backups.database import (
    BackupRefusedError,
    check_database,
    is_database_empty,
    list_migrations,
    restore_database,
    save_database,
)
from audit.durable_files import sync_folder, write_durably, write_whole
from audit.hashed_folders import (
    MANIFEST,
    hash_file,
    hash_manifest,
    verify_folder,
    write_manifest,
)
from audit.models import Worker

FORMAT = "label-audit backup 1"
DATABASE, FILES = "database.sqlite3", "home"
# What an installation makes anew by itself.
MADE_ANEW = {"broker", "derivatives", "static", "score_cache"}
BLOCK = 1 << 20


def make_backup(target: Path) -> dict[str, Any]:
    """Save database and files into a new folder, while others go on; return its manifest.

    The database comes first: files that it speaks of are written before their rows are, and
    never change.
    """
    if target.exists():
        raise BackupRefusedError(f"{target} exists; a backup is made in a new folder")
    temporary = target.parent / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)  # it holds what the database and the secret key do
    try:
        database = temporary / DATABASE
        save_database(database)
        files = {DATABASE: hash_file(database)}
        (temporary / FILES).mkdir()
        for path, name in _list_home(settings.LABEL_AUDIT_HOME):
            if said := _copy(path, temporary / FILES / name):
                files[f"{FILES}/{name}"] = said
        _sync(temporary)
        manifest = _describe(files)
        write_durably(temporary / MANIFEST, [write_manifest(manifest).encode()])
        temporary.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


def _describe(files: dict[str, Any]) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "code_version": settings.LABEL_AUDIT_VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": connection.vendor,
        "home": str(settings.LABEL_AUDIT_HOME),
        "scores": settings.SCORE_STORE or "in the backup",
        "migrations": list_migrations(),
        "files": files,
    }
    manifest["sha256"] = hash_manifest(manifest)
    return manifest


def check_backup(folder: Path) -> dict[str, Any]:
    """Return the manifest of a backup of which every byte is as it was written; else refuse."""
    if problems := verify_folder(folder):
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BackupRefusedError(f"{folder} is damaged: {'; '.join(problems[:3])}{more}")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise BackupRefusedError(f"{folder} is no backup: its format is {manifest.get('format')}")
    check_database((folder / DATABASE).resolve())
    return manifest


def restore_backup(folder: Path, *, force: bool = False) -> dict[str, Any]:
    """Make this installation what the backup holds; refuse before anything is touched.

    ``force`` replaces what there is. Killed at any moment, it can be run again with ``force``.
    """
    manifest = check_backup(folder)
    home = Path(settings.LABEL_AUDIT_HOME)
    arriving, leaving = home / ".restored.tmp", home / ".replaced.tmp"
    if not force and not (is_database_empty() and _is_home_empty(home)):
        raise BackupRefusedError(f"{home} is not empty; --force replaces what is in it")
    if not is_database_empty() and Worker.objects.alive().exists():
        raise BackupRefusedError("workers are at work here; stop them first")
    for left in (arriving, leaving):
        shutil.rmtree(left, ignore_errors=True)
    try:
        for name, said in manifest["files"].items():
            kind, _, below = name.partition("/")
            if kind == FILES and _copy(folder / name, arriving / below) != said:
                raise BackupRefusedError(f"{name} changed while it was read")
        restore_database((folder / DATABASE).resolve())
        _change_places(home, arriving, leaving)
    finally:
        for left in (arriving, leaving):
            shutil.rmtree(left, ignore_errors=True)
    return manifest


def _change_places(home: Path, arriving: Path, leaving: Path) -> None:
    """Move what a backup keeps out of the home, and what it brought in."""
    leaving.mkdir()
    for path in _kept(home):
        path.rename(leaving / path.name)
    for path in sorted(arriving.iterdir()) if arriving.exists() else ():
        path.rename(home / path.name)
    sync_folder(home)


def _kept(home: Path) -> list[Path]:
    """Return what a backup keeps of the home: neither databases, nor leftovers, nor caches."""
    return [
        path
        for path in sorted(home.iterdir())
        if path.name not in MADE_ANEW and not path.name.startswith((".", "label-audit.sqlite3"))
    ]


def _is_home_empty(home: Path) -> bool:
    """Whether nothing but what every command makes for itself is there."""
    made_by_itself = {"secret_key"}
    return not any(
        path.name not in made_by_itself and (path.is_file() or any(path.iterdir()))
        for path in _kept(home)
    )


def _list_home(home: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file that a backup keeps, with its path below the home."""
    for top in _kept(home):
        if top.is_file():
            yield top, top.name
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                if not (name.startswith(".") and name.endswith(".tmp")):
                    yield path, path.relative_to(home).as_posix()


def _copy(path: Path, target: Path) -> dict[str, Any] | None:
    """Copy a file with who may read it; None where it has just gone, as a lost attempt's does."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return None
    with stream:
        sha256 = write_whole(target, iter(lambda: stream.read(BLOCK), b""), sync=True)
        target.chmod(os.fstat(stream.fileno()).st_mode & 0o777)
        return {"sha256": sha256, "bytes": stream.tell()}


def _sync(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))
