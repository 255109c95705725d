"""Files of what takes long to find out and never changes: lost, they are made anew."""

from __future__ import annotations

import logging
from pathlib import Path

from audit.durable_files import write_whole
from audit.evidence import evidence_folder

logger = logging.getLogger(__name__)


def kept_folder(audit_id: int) -> Path:
    """Return where what is kept of an audit lies: beside its evidence."""
    return evidence_folder(audit_id) / "reports"


def keep(path: Path, data: bytes) -> bool:
    """Write a file down; False where it can't be: a full disk keeps nobody from reading."""
    try:
        write_whole(path, [data])
    except OSError as error:
        logger.warning("%s could not be kept: %s", path.name, error)
        return False
    return True
