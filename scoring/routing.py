"""A cascade in use: read the routing table that was exported, and ask which answers stand.

The file is one JSON object. ``format`` is ``label-audit-cascade-1``; ``kind``, ``edges``,
``advantage``, ``k`` and ``calibrators`` are those of ``scoring.cascade.Cascade``; what else it
holds says where the table comes from and is not read here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from scoring.arrays import Mask, Rows
from scoring.calibration import PlattScaler
from scoring.cascade import Cascade
from scoring.expert_answers import answer_items, score_tasks

FORMAT = "label-audit-cascade-1"


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """A cascade with the experts it was fitted for; ``about`` is whatever else the file says."""

    cascade: Cascade
    small: str
    large: str
    about: dict[str, Any]

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Return the table of an exported document; refuses what was not exported as one."""
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            found = stored.get("format") if isinstance(stored, dict) else type(stored).__name__
            raise ValueError(f"a routing table has the format {FORMAT!r}, not {found!r}")
        match stored:
            case {"experts": {"small": str(small), "large": str(large)}}:
                return cls(Cascade.from_json(stored), small, large, dict(stored))
        raise ValueError("a routing table names its small and its large expert")

    def keeps(self, logits: Rows | ArrayLike) -> Mask:
        """Return which items the small model answers alone, (n_items,).

        ``logits`` (n_items, n_classes) are the small model's, scored as they were for the fit.
        False, also where a row is not finite, means: ask the large model.
        """
        return self.cascade.route(answer_items(logits, self.cascade.small_calibrator).confidence)

    def keeps_scores(self, scores: ArrayLike) -> Mask:
        """Return the same for whole answers with one score each, (n_items,)."""
        calibrator = self.cascade.small_calibrator
        if calibrator is not None and not isinstance(calibrator, PlattScaler):
            raise ValueError(f"{self.small} was fitted on logits of classes, not on scores")
        values = np.asarray(scores, dtype=np.float64)
        nothing = np.zeros(values.size, dtype=np.bool_)
        return self.cascade.route(score_tasks(values, nothing, calibrator).confidence)


def load_routing_table(path: str | Path) -> RoutingTable:
    """Read an exported routing table."""
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no routing table: {error}") from error
    return RoutingTable.from_json(stored)
