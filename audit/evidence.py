"""What each expert said about each item of an audit: small arrays on disk, read by position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

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
    """Store the evidence; an earlier attempt's files are replaced one by one, atomically."""
    folder = evidence_folder(audit_id)
    folder.mkdir(parents=True, exist_ok=True)
    for field in FIELDS:
        temporary = folder / f"{field}.tmp.npy"
        np.save(temporary, getattr(evidence, field))
        temporary.replace(folder / f"{field}.npy")


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
