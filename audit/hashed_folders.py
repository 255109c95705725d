"""Folders whose manifest holds the hash of every file in them, and their verification."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def write_manifest(manifest: dict[str, Any]) -> str:
    """Return the manifest's one and only spelling."""
    return json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def hash_manifest(manifest: dict[str, Any]) -> str:
    """Return the hash of everything in the manifest but the hash itself."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(write_manifest(rest).encode()).hexdigest()


def verify_folder(folder: Path) -> list[str]:
    """Return what is wrong with the folder, empty when every byte is as it was written."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        files = {str(name): dict(said) for name, said in manifest["files"].items()}
        is_intact = text == write_manifest(manifest) and manifest["sha256"] == hash_manifest(
            manifest
        )
    except OSError as error:
        return [f"{MANIFEST} can't be read: {error.strerror}"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{MANIFEST} is damaged"]
    problems = [] if is_intact else [f"{MANIFEST} is damaged"]
    present = _list_files(folder)
    problems += [f"{name} is missing" for name in sorted(files.keys() - present)]
    problems += [f"{name} is not part of it" for name in sorted(present - {*files, MANIFEST})]
    for name in sorted(files.keys() & present):
        path = folder / name
        if path.is_symlink() or not path.is_file() or hash_file(path) != files[name]:
            problems.append(f"{name} is changed")
    return problems


def _list_files(folder: Path) -> set[str]:
    """Return everything in the folder but the folders that hold something, by relative path."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    }


def hash_file(path: Path) -> dict[str, Any]:
    """Return what a manifest says about a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"sha256": digest, "bytes": stream.tell()}
