"""Pictures re-encoded for browsers and scripts, made on first use and kept by content."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from django.conf import settings

from audit.images import derivative, open_rgb
from audit.models import Item

FULL_SIDE = 4096
THUMB_SIDE = 160
# Part of every cached file's name: raise it when `derivative` makes something else.
RECIPE = 1


def load_derivative(item: Item, side: int) -> bytes:
    """Return the item's picture for browsers, made on first use and kept by content hash."""
    digest = item.content_sha256
    kept = Path(settings.LABEL_AUDIT_HOME, "derivatives", digest[:2], f"{digest}-{side}-{RECIPE}")
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        content = derivative(open_rgb(item.dataset.folder, item.image, sha256=digest), side)
    _keep(kept, content)
    return content


def _keep(path: Path, content: bytes) -> None:
    """Write a cached file at one stroke: a reader finds the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
