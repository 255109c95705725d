"""How many flags a method has, by what its page narrows them by: counted once, kept as a file.

An audit's flags never change, and counting a million takes seconds. The file lies beside the
audit's evidence under a name made of the audit's hash, as reports do; lost, it is made anew.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from django.db.models import Count
from numpy.typing import NDArray

from audit.kept_files import keep, kept_folder
from audit.models import Audit

GIVEN, PROPOSED, AGREE, BIN, N_FLAGS = range(5)
COLUMNS = ("item__given_label", "proposed_label", "experts_agree", "bin_rank")
NO_LABEL, NO_BIN = -1, 0
Counts: TypeAlias = NDArray[np.int32]


def find_flag_counts(audit: Audit, method: str) -> Counts:
    """Return a row for each combination of COLUMNS that flags have, with their number behind."""
    name = hashlib.sha256(f"{audit.sha256}/{method}".encode()).hexdigest()
    path = kept_folder(audit.pk) / f"{name}.npy"
    try:
        kept: Counts = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        counted = _count(audit, method)
        if audit.is_ready:
            buffer = io.BytesIO()
            np.save(buffer, counted)
            keep(path, buffer.getvalue())
        return counted
    return kept


def _count(audit: Audit, method: str) -> Counts:
    cells = audit.flags.filter(method=method).order_by().values_list(*COLUMNS)
    rows = (
        (NO_LABEL if given is None else given, proposed, agree, rank or NO_BIN, n_flags)
        for given, proposed, agree, rank, n_flags in cells.annotate(Count("pk")).iterator(5000)
    )
    return np.fromiter(rows, dtype=(np.int32, N_FLAGS + 1))


def choose(counts: Counts, wanted: Mapping[int, int | None]) -> Counts:
    """Return the rows with these values in these columns; None takes any."""
    chosen = np.ones(len(counts), dtype=bool)
    for column, value in wanted.items():
        if value is not None:
            chosen &= counts[:, column] == value
    return counts[chosen]


def count_by(counts: Counts, column: int) -> dict[int, int]:
    """Return how many flags there are per value of a column."""
    values, places = np.unique(counts[:, column], return_inverse=True)
    sums = np.bincount(places, weights=counts[:, N_FLAGS], minlength=len(values))
    pairs = zip(values.tolist(), sums.astype(int).tolist(), strict=True)
    return {value: n_flags for value, n_flags in pairs if value != NO_LABEL}
