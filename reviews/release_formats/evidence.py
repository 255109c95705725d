"""Everything behind each change: the votes, both experts' scores, the methods that flagged it."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC
from typing import Any

from audit.models import Flag
from reviews.decisions import StandingVote
from reviews.release_formats.base import (
    LabelRow,
    ReleaseFolder,
    Source,
    Writer,
    without_addresses,
)

BATCH = 500  # keys per query: SQLite takes no more than 999 in its smallest build
DIGITS = 7  # as many as a float32 holds


class EvidenceLines(Writer):
    """``evidence.jsonl``: one line per item whose label changes or that stays undecided."""

    def __init__(self, source: Source, folder: ReleaseFolder) -> None:
        self._source = source
        self._text = folder.open_text("evidence.jsonl")
        self._waiting: list[LabelRow] = []

    def add(self, row: LabelRow) -> None:
        if row.decision.is_change or row.decision.is_undecided:
            self._waiting.append(row)
        if len(self._waiting) >= BATCH:
            self.close()

    def close(self) -> None:
        """Look the waiting rows' flags up and write them."""
        flags: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        rows = Flag.objects.filter(
            audit=self._source.audit, item__in=[row.item_pk for row in self._waiting]
        )
        for flag in rows.order_by("method", "rank"):
            flags[flag.item_id].append(_describe_flag(flag))
        for row in self._waiting:
            document = self._describe(row, flags[row.item_pk])
            self._text.write(f"{json.dumps(document, ensure_ascii=False)}\n")
        self._waiting.clear()

    def _describe(self, row: LabelRow, methods: list[dict[str, Any]]) -> dict[str, Any]:
        decision = row.decision
        return {
            "key": row.key,
            "given_label": row.given_label,
            "cleaned_label": decision.cleaned_label,
            "also_labels": list(decision.also_labels),
            "action": decision.action.value,
            "verdict": decision.verdict,
            "reason": decision.reason,
            "votes": [self._describe_vote(vote) for vote in row.votes],
            "adjudication": row.ruling and _describe_ruling(row.ruling),
            "experts": self._describe_experts(row.position),
            "methods": methods,
        }

    def _describe_vote(self, vote: StandingVote) -> dict[str, Any]:
        return {
            "judgment": vote.judgment,
            "annotator": self._source.pseudonyms[vote.annotator],
            "verdict": vote.verdict,
            "corrected_label": vote.corrected_label,
            "labels": list(vote.labels),
            "source": without_addresses(vote.source),
            "derivation_given": vote.has_derivation,
            "decided_at": vote.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
        }

    def _describe_experts(self, position: int) -> list[dict[str, Any]]:
        evidence = self._source.evidence
        if evidence is None:
            return []
        described = []
        for order, name in enumerate(self._source.experts):
            top1 = int(evidence.top1[order, position])
            described.append(
                {
                    "name": name,
                    "top1": top1,
                    "confidence": _round(evidence.confidence[order, position]),
                    "raw_confidence": _round(evidence.raw_confidence[order, position]),
                    "given_probability": _round(evidence.given_probability[order, position]),
                }
                if top1 >= 0
                else {"name": name, "top1": None}
            )
        return described


def _describe_ruling(ruling: StandingVote) -> dict[str, Any]:
    return {
        "adjudication": ruling.judgment,
        "verdict": ruling.verdict,
        "corrected_label": ruling.corrected_label,
        "labels": list(ruling.labels),
        "decided_at": ruling.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
    }


def _describe_flag(flag: Flag) -> dict[str, Any]:
    return {
        "method": flag.method,
        "rank": flag.rank,
        "score": _round(flag.score),
        "bin_rank": flag.bin_rank,
        "proposed_label": flag.proposed_label,
        "experts_agree": flag.experts_agree,
    }


def _round(value: Any) -> float:
    return float(f"{float(value):.{DIGITS}g}")
