"""What each expert said about each item of an audit: small arrays on disk, read by position."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from audit.durable_files import write_durably

FIELDS = ("top1", "confidence", "raw_confidence", "given_probability")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Per expert and item, shape (n_experts, n_items), in the audit's expert order.

    `top1` is a class index, -1 where the expert has no score for the item; the other three are
    probabilities (NaN there): calibrated and raw confidence of `top1`, and the calibrated
    probability of the given label.
    """

    top1: NDArray[np.int32]
    confidence: NDArray[np.float32]
    raw_confidence: NDArray[np.float32]
    given_probability: NDArray[np.float32]


def evidence_folder(audit_id: int) -> Path:
    """Return where an audit's evidence lies."""
    return Path(settings.LABEL_AUDIT_HOME, "audits", str(audit_id))


def write_evidence(audit_id: int, evidence: Evidence) -> None:
    """Store the evidence for good; an earlier attempt's files are replaced one by one, atomically.

    Nothing else knows which items the audit could use: it can't be made anew as kept files are.
    """
    folder = evidence_folder(audit_id)
    for field in FIELDS:
        write_durably(folder / f"{field}.npy", _as_npy(getattr(evidence, field)))


def _as_npy(array: NDArray[Any]) -> Iterator[bytes]:
    """Yield what `np.save` writes, an expert at a time: evidence may be large."""
    rows = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(rows))
    yield header.getvalue()
    for row in rows:
        yield row.tobytes()


def load_evidence(audit_id: int) -> Evidence:
    """Return the evidence as memory maps: reading one item touches one page per array."""
    folder = evidence_folder(audit_id)
    return Evidence(
        **{
            field: np.load(folder / f"{field}.npy", mmap_mode="r", allow_pickle=False)
            for field in FIELDS
        }
    )


def load_top1(audit_id: int) -> NDArray[np.int32]:
    """Return `top1` of the evidence alone."""
    top1: NDArray[np.int32] = np.load(
        evidence_folder(audit_id) / "top1.npy", mmap_mode="r", allow_pickle=False
    )
    return top1
