"""cleanlab's table of label issues, as ``CleanLearning.fit(label_issues=...)`` takes it."""

from __future__ import annotations

import numpy as np

from reviews.release_formats.base import (
    FormatRefusedError,
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
)

COLUMNS = ("key", "is_label_issue", "label_quality", "given_label", "predicted_label")


class IssueTable(Writer):
    """``cleanlab_issues.csv``: one row per item in the data set's order, none left out.

    An issue is what people decided to be one. ``label_quality`` is the experts' mean calibrated
    probability of the given label. ``predicted_label`` is the cleaned label of an issue that has
    one, else the top-1 label of the most confident expert.
    """

    @classmethod
    def check(cls, source: Source) -> None:
        if source.evidence is None:
            raise FormatRefusedError("cleanlab-csv needs the experts' scores, which are gone")

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self.check(source)
        self._evidence = source.evidence
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
        evidence = self._evidence
        if evidence is None:
            return None, None
        top1 = evidence.top1[:, position]
        has_score = top1 >= 0
        if not has_score.any():
            return None, None
        quality = float(evidence.given_probability[has_score, position].mean(dtype=np.float64))
        best = int(np.argmax(evidence.confidence[has_score, position]))
        return quality, int(top1[has_score][best])
