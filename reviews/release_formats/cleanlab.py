"""cleanlab's table of label issues, as ``CleanLearning.fit(label_issues=...)`` takes it."""

from __future__ import annotations

import numpy as np

from audit.evidence import Evidence
from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)

BLOCK = 4096
COLUMNS = ("key", "is_label_issue", "label_quality", "given_label", "predicted_label")


class IssueTable(Writer):
    """``cleanlab_issues.csv``: one row per item in the data set's order, none left out.

    An issue is what people decided to be one. ``label_quality`` is the experts' mean calibrated
    probability of the given label. ``predicted_label`` is the cleaned label of an issue that has
    one, else the top-1 label of the most confident expert.
    """

    @classmethod
    def check(cls, source: Source) -> None:
        _require_evidence(source)

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._evidence = _require_evidence(source)
        self._block = range(0)
        self._said: list[tuple[float | None, int | None]] = []
        self._table = folder.open_table("cleanlab_issues.csv", COLUMNS)

    def add(self, row: LabelRow) -> None:
        decision = row.decision
        quality, predicted = self._ask_experts(row.position)
        if decision.is_change and decision.cleaned_label not in {None, row.given_label}:
            predicted = decision.cleaned_label
        self._table.writerow(
            (
                row.key,
                decision.is_change,
                "" if quality is None else f"{quality:.7g}",
                row.given_label,
                # A number in every row: a hole would make the column one of fractions.
                row.given_label if predicted is None else predicted,
            )
        )

    def _ask_experts(self, position: int) -> tuple[float | None, int | None]:
        """Return the label's mean probability and the most confident top-1, None without scores."""
        if position not in self._block:
            start = position - position % BLOCK
            self._block = range(start, start + BLOCK)
            self._said = _ask_block(self._evidence, start)
        return self._said[position - self._block.start]


def _require_evidence(source: Source) -> Evidence:
    if source.evidence is None:
        raise FormatRefusedError("cleanlab-csv needs the experts' scores, which are gone")
    return source.evidence


def _ask_block(evidence: Evidence, start: int) -> list[tuple[float | None, int | None]]:
    """Return what the experts say of the items from `start` on: a block at once, not one by one."""
    rows = slice(start, start + BLOCK)
    top1 = np.asarray(evidence.top1[:, rows])
    has_score = top1 >= 0
    given = np.where(has_score, evidence.given_probability[:, rows], 0.0).astype(np.float64)
    quality = given.sum(axis=0) / np.maximum(has_score.sum(axis=0), 1)
    best = np.where(has_score, evidence.confidence[:, rows], -1.0).argmax(axis=0)
    predicted = np.take_along_axis(top1, best[np.newaxis], axis=0)[0]
    return [
        (mean, label) if is_scored else (None, None)
        for mean, label, is_scored in zip(
            quality.tolist(), predicted.tolist(), np.any(has_score, axis=0).tolist(), strict=True
        )
    ]
