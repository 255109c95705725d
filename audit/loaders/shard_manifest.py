"""The manifest of scores that a batch job wrote: which shards there are, whose, of which items."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.loaders.base import ProblemList, refuse

FORMAT, VERSION = "label-audit scores", 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 28
MAX_REASON = 500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REQUIRED = ("format", "version", "kind", "n_items", "n_classes", "expert", "shards")
_KNOWN = {*_REQUIRED, "dataset_sha256"}
_OF_A_SHARD = {"file", "sha256", "start", "stop", "keys", "keys_sha256", "absent"}


@dataclass(frozen=True, slots=True)
class Part:
    """One shard: the rows of the items [start, stop), or of those its ``keys`` name.

    ``absent``: rows of it without scores, with the reason.
    """

    path: Path
    sha256: str
    n_rows: int
    start: int = 0
    keys: Sequence[str] = ()
    absent: Mapping[int, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return self.path.name

    @property
    def stop(self) -> int:
        return self.start + self.n_rows


@dataclass(frozen=True, slots=True)
class ShardManifest:
    """What a batch job says it wrote."""

    kind: str
    n_items: int
    n_classes: int
    dataset_sha256: str
    expert: Mapping[str, Any]
    parts: Sequence[Part]
    has_keys: bool


def read_shard_manifest(folder: Path) -> ShardManifest:
    """Return the folder's manifest, its key files read; raises ``ImportRefused``."""
    document = _read_json(folder / MANIFEST, MAX_MANIFEST_BYTES)
    if not isinstance(document, dict):
        raise refuse("json", f"{MANIFEST} is not a JSON object")
    _check_fields(document)
    _check_expert(document["expert"])
    shards = document["shards"]
    if not isinstance(shards, list) or not shards:
        raise refuse("empty", f"{MANIFEST} names no shards", column="shards")
    has_keys = isinstance(shards[0], dict) and "keys" in shards[0]
    problems = ProblemList()
    parts = [_read_part(folder, shard, problems, has_keys=has_keys) for shard in shards]
    names = [part.file for part in parts if part]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(None, name, "dup_shard", f"named {names.count(name)} times")
    problems.raise_if_any()
    return ShardManifest(
        kind=str(document["kind"]),
        n_items=document["n_items"],
        n_classes=document["n_classes"],
        dataset_sha256=str(document.get("dataset_sha256", "")),
        expert=document["expert"],
        parts=[part for part in parts if part],
        has_keys=has_keys,
    )


def _read_json(path: Path, max_bytes: int) -> Any:
    try:
        if path.stat().st_size > max_bytes:
            raise refuse("too_large", f"{path.name} has over {max_bytes} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refuse("missing", f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise refuse("json", f"{path.name} is not JSON: {error}") from error


def _check_fields(document: Mapping[str, Any]) -> None:
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        message = f'this is not {{"format": "{FORMAT}", "version": {VERSION}}}'
        raise refuse("format", f"{MANIFEST}: {message}")
    problems = ProblemList()
    for name in _REQUIRED:
        if name not in document:
            problems.add(None, name, "missing_field", f"{MANIFEST} lacks it")
    for name in sorted(set(document) - _KNOWN):
        problems.add(None, ascii(name[:60]), "unknown_field", f"{MANIFEST} knows no such field")
    problems.raise_if_any()


def _check_expert(expert: Any) -> None:
    """Refuse scores nobody can trace: whose weights, and how the input was prepared."""
    if not isinstance(expert, dict) or not _is_sha256(expert.get("weights_sha256")):
        message = "needs weights_sha256, the sha256 of the model's weights"
        raise refuse("expert", message, column="expert")
    if not expert.get("transform") and not expert.get("prompt"):
        message = "needs the transform (pictures) or the prompt with its version (questions)"
        raise refuse("expert", message, column="expert")


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _read_part(folder: Path, shard: Any, problems: ProblemList, *, has_keys: bool) -> Part | None:
    if not isinstance(shard, dict) or not _is_plain_name(shard.get("file")):
        problems.add(None, "shards", "path", "every shard has a file in this very folder")
        return None
    name = str(shard["file"])
    unknown = sorted(set(shard) - _OF_A_SHARD)
    if unknown:
        problems.add(None, name, "unknown_field", f"unknown: {', '.join(map(ascii, unknown))}")
    if not _is_sha256(shard.get("sha256")):
        problems.add(None, name, "missing_field", "has no sha256")
        return None
    if ("keys" in shard) != has_keys:
        problems.add(None, name, "keys", "either all shards name their keys, or none does")
        return None
    path = folder / name
    if has_keys:
        keys = _read_keys(folder, shard, problems)
        n_rows, start = len(keys), 0
    else:
        keys, (start, n_rows) = (), _read_range(shard)
    if n_rows < 1:
        problems.add(None, name, "range", "holds no items: start < stop, or keys, are needed")
        return None
    absent = _read_absent(shard.get("absent", {}), n_rows)
    if absent is None:
        message = 'absent is {"ROW": "reason"} of rows in this shard'
        problems.add(None, name, "absent", message)
        return None
    return Part(path, str(shard["sha256"]), n_rows, start, keys, absent)


def _is_plain_name(name: Any) -> bool:
    is_text = isinstance(name, str) and bool(name)
    return is_text and "\0" not in name and Path(name).name == name and not name.startswith(".")


def _read_range(shard: Mapping[str, Any]) -> tuple[int, int]:
    start, stop = shard.get("start"), shard.get("stop")
    if type(start) is not int or type(stop) is not int or start < 0:
        return 0, 0
    return start, stop - start


def _read_keys(folder: Path, shard: Mapping[str, Any], problems: ProblemList) -> Sequence[str]:
    """Return the keys of a shard's rows, from the JSON list beside it; none if it is no good."""
    name = shard["keys"]
    if not _is_plain_name(name):
        problems.add(None, str(shard["file"]), "path", "keys are in a file of this very folder")
        return ()
    try:
        content = (folder / name).read_bytes()
        keys = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        problems.add(None, name, "missing_shard", f"can't be read: {error}"[:200])
        return ()
    if hashlib.sha256(content).hexdigest() != shard.get("keys_sha256"):
        problems.add(None, name, "damaged", "not what the manifest's keys_sha256 says")
        return ()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        problems.add(None, name, "keys", "not a JSON list of texts")
        return ()
    return keys


def _read_absent(absent: Any, n_rows: int) -> dict[int, str] | None:
    if not isinstance(absent, dict):
        return None
    found = {}
    for row, reason in absent.items():
        if not row.isdecimal() or int(row) >= n_rows or not isinstance(reason, str):
            return None
        found[int(row)] = reason[:MAX_REASON]
    return found
