"""The splits of a data set: which one its items come from, and which is there for examples."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from audit.loaders.base import refuse

EXAMPLES = "dev"
USUAL = "test"

_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_KNOWN = re.compile(r"(?:.*[-_.])?(auxiliary_train|train|validation|valid|val|dev|test)", re.DOTALL)


def split_of(path: Path) -> str:
    """Return the split that a file's name ends with (ARC-Easy-Test.jsonl), or nothing."""
    known = _KNOWN.fullmatch(_SHARD.sub("", path.stem).lower())
    return known[1] if known else ""


def group_by_split(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Return files by split, in the order of their names; one of no known name is its own."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(files, key=lambda each: each.name):
        groups.setdefault(split_of(path) or _SHARD.sub("", path.stem), []).append(path)
    return groups


def choose_split(available: Collection[str], wanted: str | None, place: Path) -> str:
    """Return the split asked for; without one the only one there is, else ``test``."""
    names = ", ".join(sorted(available)) or "none"
    if wanted is not None and wanted not in available:
        raise refuse("split", f"{place} has no split {wanted[:60]!a}; there are: {names}")
    if wanted is not None:
        return wanted
    if len(available) == 1:
        return next(iter(available))
    if USUAL in available:
        return USUAL
    raise refuse("split", f"{place} has several splits; choose with --split: {names}")
