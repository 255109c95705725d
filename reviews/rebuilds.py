"""A release built again from its manifest, and whether it is the same to the byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.hashed_folders import MANIFEST, hash_manifest
from audit.models import Audit
from reviews.decisions import Snapshot
from reviews.models import Adjudication, Judgment
from reviews.policies import read_policy
from reviews.release_files import export_release
from reviews.release_manifest import find_hash


class RebuildRefusedError(ValueError):
    """The release can't be built again here; the message says why."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A release built again: its manifest, and the files whose bytes are others than before."""

    manifest: dict[str, Any]
    changed: list[str]


def rebuild(path: Path, target: Path) -> Rebuilt:
    """Build the release that a manifest describes into a new folder.

    Data set, audit and judgments must be the ones it was built from, to their hashes.
    """
    said = read_manifest(path)
    audit = _find_audit(said)
    policy = said["policy"]
    snapshot = Snapshot(said["last_judgment"], said["last_adjudication"])
    rule = read_policy(policy["name"], policy["version"], policy["definition"])
    manifest = export_release(audit, rule, snapshot, target, said["formats"])
    before, after = said["files"], manifest["files"]
    changed = [
        name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)
    ]
    if manifest != said:
        changed.append(MANIFEST)
    return Rebuilt(manifest, changed)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return an undamaged manifest; of a release's folder, the one in it."""
    file = path / MANIFEST if path.is_dir() else path
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        is_intact = said["sha256"] == hash_manifest(said)
    except OSError as error:
        raise RebuildRefusedError(f"{file} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RebuildRefusedError(f"{file} is no manifest of a release") from error
    if not is_intact:
        raise RebuildRefusedError(f"{file} is damaged: its hash is another")
    return dict(said)


def _find_audit(said: dict[str, Any]) -> Audit:
    number, slug = said["audit"]["id"], said["dataset"]["slug"]
    audits = Audit.objects.select_related("dataset")
    audit = audits.filter(pk=number, dataset__slug=slug).first()
    if audit is None:
        raise RebuildRefusedError(f"there is no audit {number} of a data set {slug!r} here")
    hashes: dict[str, tuple[str | None, str | None]] = {
        "the data set": (audit.dataset.sha256, said["dataset"]["sha256"]),
        "the audit": (audit.sha256, said["audit"]["sha256"]),
    }
    for table, name in ((Judgment, "last_judgment"), (Adjudication, "last_adjudication")):
        here = find_hash(table, said[name])
        hashes[f"{table.__name__.lower()} {said[name]}"] = (here, said[f"{name}_sha256"])
    for name, (here, there) in hashes.items():
        if here != there:
            raise RebuildRefusedError(f"{name} is not the one that the release was built from")
    return audit
