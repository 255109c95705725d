"""The audit's last stage: calibrate every expert, flag by every method, publish at once."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from audit.evidence import Evidence, write_evidence
from audit.models import Audit, AuditExpert, Flag
from audit.score_store import ScoreStoreError, ShardedLogits, open_scores
from audit.services import claims
from audit.services.bulk_rows import insert_rows
from audit.services.closing import reopen_damaged
from audit.services.scores import check_independent
from scoring.cleaning import (
    BinsOver,
    Queue,
    basic,
    calibrated_ensemble,
    calibrated_margin,
    disputed,
    ensemble,
    self_confidence,
)
from scoring.confident_learning import confident_learning_queues
from scoring.ece_intervals import table_ece_interval
from scoring.expert_calibration import CalibratorName, ExpertCalibration, calibrate_expert
from scoring.intervals import Interval
from scoring.ranking import balanced_odds
from scoring.sanity import expert_failure, label_map_suspect
from scoring.splits import in_half_a

logger = logging.getLogger(__name__)
ECE_SEED = 15
"""One seed for all intervals: the same scores must give the same figures."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the stage reads: per item key and given label, per expert the logits."""

    item_ids: list[int]
    keys: list[str]
    given_labels: NDArray[np.int64]
    logits: list[ShardedLogits]


def calibrate_audit(audit_id: int) -> bool:
    """Calibrate and flag one audit; False when there was nothing to do or the claim was lost.

    Safe to call twice: the queues appear in one transaction guarded by the claim.
    """
    audit = Audit.objects.filter(pk=audit_id, state=Audit.State.CALIBRATING).first()
    epoch = claims.claim(audit) if audit else None
    if audit is None or epoch is None:
        return False
    experts = list(audit.experts.select_related("score_set").order_by("order"))
    try:
        with claims.heartbeat(audit, epoch):
            return _calibrate(audit, epoch, experts)
    except ScoreStoreError:
        if not _send_back(audit, epoch, experts):
            raise
        return False
    except ValueError as error:
        logger.warning("audit %s failed: %s", audit.pk, error)
        with transaction.atomic():
            if claims.fail(audit, epoch, str(error)):
                Audit.objects.filter(pk=audit.pk).update(state=Audit.State.FAILED)
        return False


def _send_back(audit: Audit, epoch: int, experts: Sequence[AuditExpert]) -> bool:
    """Have the audit wait for scores that turned out damaged; False if none is."""
    damaged = [reason for each in experts if (reason := reopen_damaged(each.score_set))]
    if not damaged:
        return False
    with transaction.atomic():
        if claims.put_back(audit, epoch, "; ".join(damaged)):
            Audit.objects.filter(pk=audit.pk).update(state=Audit.State.SCORING)
    return True


def _calibrate(audit: Audit, epoch: int, experts: list[AuditExpert]) -> bool:
    clock = Clock()
    check_independent([each.score_set for each in experts])
    inputs = _read_inputs(audit, experts)
    half_a = in_half_a(inputs.keys, audit.seed)
    calibrations = [
        calibrate_expert(
            logits,
            inputs.given_labels,
            half_a,
            calibrator=cast("CalibratorName", audit.calibrator),
            n_bins=audit.n_bins,
            keys=inputs.keys,
        )
        for logits in inputs.logits
    ]
    for expert, each in zip(experts, calibrations, strict=True):
        if failure := expert_failure(each.scored.raw_confidence, audit.dataset.n_classes):
            raise ValueError(f"{expert.name}: {failure}")
    described = [describe_calibration(audit, each) for each in calibrations]
    clock.lap("calibrate")
    top1s = [each.scored.top1 for each in calibrations]
    suspicion = label_map_suspect(top1s, inputs.given_labels, audit.dataset.n_classes)
    if suspicion:
        raise ValueError(suspicion)
    queues = build_queues(audit, experts, inputs, calibrations)
    clock.lap("flag")
    write_evidence(audit.pk, _evidence(calibrations))
    agree = np.all([top1 == top1s[0] for top1 in top1s], axis=0)
    flags = _flag_rows(audit, inputs.item_ids, queues, agree)
    published = _publish(
        audit,
        epoch,
        experts,
        described,
        flags,
        {
            "n_disputed": int(disputed(top1s, inputs.given_labels).sum()),
            "queue_counts": _counts(queues, audit.n_bins),
            "sha256": hash_queues(inputs.keys, queues),
            "seconds": clock.seconds,
        },
    )
    clock.lap("publish")
    Audit.objects.filter(pk=audit.pk).update(seconds=clock.seconds)
    return published


class Clock:
    """Seconds per stage, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._since, 3)
        self._since = now


def _read_inputs(audit: Audit, experts: Sequence[AuditExpert]) -> Inputs:
    rows = list(audit.dataset.items.order_by("position").values_list("pk", "key", "given_label"))
    return Inputs(
        item_ids=[row[0] for row in rows],
        keys=[row[1] for row in rows],
        given_labels=np.array([row[2] for row in rows], dtype=np.int64),
        logits=[open_scores(each.score_set_id) for each in experts],
    )


def build_queues(
    audit: Audit,
    experts: Sequence[AuditExpert],
    inputs: Inputs,
    calibrations: Sequence[ExpertCalibration],
) -> dict[str, Queue]:
    """Return every method's queue by its stable name.

    Where an expert couldn't be calibrated, the methods that rest on calibrated probabilities
    have no queue: they aren't made up from raw ones.
    """
    top1s = [each.scored.top1 for each in calibrations]
    confidences = [each.scored.confidence for each in calibrations]
    given, keys = inputs.given_labels, inputs.keys
    queues = {
        f"basic:{expert.name}": basic(top1, confidence, given, keys=keys)
        for expert, top1, confidence in zip(experts, top1s, confidences, strict=True)
    }
    agreement = audit.require_agreement
    queues["ensemble"] = ensemble(top1s, confidences, given, require_agreement=agreement, keys=keys)
    if any(each.degenerate for each in calibrations):
        return queues
    over: BinsOver = "all" if audit.bins_over == Audit.BinsOver.ALL else "disputed"
    queues["calibrated_ensemble"] = calibrated_ensemble(
        top1s,
        confidences,
        given,
        n_bins=audit.n_bins,
        over=over,
        require_agreement=agreement,
        keys=keys,
    )
    scored = [each.scored for each in calibrations]
    learned = confident_learning_queues(inputs.logits, scored, given, keys=keys)
    queues["confident_learning"] = learned["candidates"]
    queues["confident_learning_cleanlab"] = learned["cleanlab"]
    on_given = [each.given_probability for each in scored]
    queues["calibrated_margin"] = calibrated_margin(top1s, confidences, on_given, given, keys=keys)
    queues["balanced_odds"] = balanced_odds(inputs.logits, scored, given, keys=keys)
    queues["self_confidence"] = self_confidence(top1s, confidences, on_given, given, keys=keys)
    return queues


def _evidence(calibrations: Sequence[ExpertCalibration]) -> Evidence:
    scored = [each.scored for each in calibrations]
    return Evidence(
        top1=np.stack([each.top1 for each in scored]).astype(np.int32),
        confidence=np.stack([each.confidence for each in scored]).astype(np.float32),
        raw_confidence=np.stack([each.raw_confidence for each in scored]).astype(np.float32),
        given_probability=np.stack([each.given_probability for each in scored]).astype(np.float32),
    )


def _counts(queues: Mapping[str, Queue], n_bins: int) -> dict[str, Any]:
    counts: dict[str, Any] = {name: len(queue) for name, queue in queues.items()}
    if "calibrated_ensemble" in queues:
        sizes = queues["calibrated_ensemble"].sizes_by_k(n_bins)
        counts["calibrated_ensemble"] = [int(size) for size in sizes]
    return counts


FLAG_COLUMNS = (
    "audit_id", "item_id", "method", "rank", "score", "bin_rank", "proposed_label",
    "experts_agree",
)  # fmt: skip


def _flag_rows(
    audit: Audit, item_ids: Sequence[int], queues: Mapping[str, Queue], agree: NDArray[np.bool_]
) -> Iterator[tuple[Any, ...]]:
    """Yield the values of FLAG_COLUMNS, queue by queue in rank order."""
    agrees = agree.tolist()
    for method, queue in queues.items():
        bins = [None] * len(queue) if queue.bin_rank is None else queue.bin_rank.tolist()
        columns = (queue.positions.tolist(), queue.score.tolist(), queue.proposed_label.tolist())
        for rank, (position, score, label) in enumerate(zip(*columns, strict=True), start=1):
            yield (
                audit.pk, item_ids[position], method, rank, score, bins[rank - 1], label,
                agrees[position],
            )  # fmt: skip


@transaction.atomic
def _publish(
    audit: Audit,
    epoch: int,
    experts: Sequence[AuditExpert],
    calibrations: Sequence[dict[str, Any]],
    flags: Iterable[tuple[Any, ...]],
    facts: dict[str, Any],
) -> bool:
    # The guarded update runs first: it locks the row, so a rival waits and then writes nothing.
    if not claims.commit(audit, epoch, state=Audit.State.READY, **facts):
        return False
    for expert, calibration in zip(experts, calibrations, strict=True):
        AuditExpert.objects.filter(pk=expert.pk).update(calibration=calibration)
    insert_rows(Flag, FLAG_COLUMNS, flags)
    return True


def describe_calibration(audit: Audit, calibration: ExpertCalibration) -> dict[str, Any]:
    """Return an expert's calibration as the JSON that pages and reports read."""
    refusal = calibration.degenerate
    histogram = calibration.histogram
    return {
        "calibrator": audit.calibrator,
        "parameters": calibration.parameters,
        "degenerate": refusal and {"reason": refusal.reason, "detail": refusal.detail},
        "accuracy": calibration.accuracy,
        "n_scored": calibration.n_scored,
        "ece": dict(calibration.ece),
        "ece_interval": {
            name: describe_interval(table_ece_interval(table, np.random.default_rng(ECE_SEED)))
            for name, table in calibration.reliability.items()
        },
        "nll": dict(calibration.nll),
        "nll_interval": {
            name: describe_interval(each) for name, each in calibration.nll_interval.items()
        },
        "brier": dict(calibration.brier),
        "brier_interval": {
            name: describe_interval(each) for name, each in calibration.brier_interval.items()
        },
        "reliability": {
            name: {
                "count": table.count.tolist(),
                "confidence": table.confidence.tolist(),
                "accuracy": table.accuracy.tolist(),
            }
            for name, table in calibration.reliability.items()
        },
        "histogram": {
            "edges": histogram.edges.tolist(),
            "before": histogram.raw.tolist(),
            "after": histogram.calibrated.tolist(),
        },
    }


def describe_interval(interval: Interval) -> dict[str, float]:
    """Return the limits alone: the estimate stands elsewhere."""
    return {"low": interval.low, "high": interval.high}


def hash_queues(keys: Sequence[str], queues: Mapping[str, Queue]) -> str:
    """Return the hash of every queue in order: same inputs and parameters, same hash."""
    digest = hashlib.sha256()
    for method in sorted(queues):
        queue = queues[method]
        bins = queue.bin_rank if queue.bin_rank is not None else np.zeros(len(queue), dtype=int)
        digest.update(f"{method}\n".encode())
        for position, score, bin_rank in zip(
            queue.positions.tolist(), queue.score.tolist(), bins.tolist(), strict=True
        ):
            digest.update(f"{keys[position]}\0{score!r}\0{bin_rank}\n".encode())
    return digest.hexdigest()
