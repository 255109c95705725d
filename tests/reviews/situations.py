"""Plain functions that make an audit with every kind of item, and people's judgments of it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction

from audit.evidence import Evidence, write_evidence
from audit.models import Audit, Flag, Item, Role
from reviews.models import Judgment, Mode, ReviewSlot, Sample, Stage
from reviews.services.chains import append_link, lock_chain
from scoring.arrays import Mask
from tests.factories import make_dataset, make_member, make_ready_audit


def make_mixed_audit(n_items: int = 120) -> Audit:
    """Five kinds of item, by position.

    0-29 flagged by both methods (bins 1-3), 30-39 by the experts only (bin 3), 40-49 by
    Confident Learning only, 50-54 disputed by one expert; the rest undisputed.
    """
    dataset = make_dataset(n_items=n_items)
    audit = make_ready_audit(dataset, n_flags=40)
    audit.flags.filter(method="confident_learning", rank__gt=30).delete()
    items = list(dataset.items.all())
    Flag.objects.bulk_create(
        Flag(
            audit=audit,
            item=items[place],
            method="confident_learning",
            rank=place - 9,
            score=0.1,
            proposed_label=0,
            experts_agree=False,
        )
        for place in range(40, 50)
    )
    for place, flag in enumerate(audit.flags.of_method("calibrated_ensemble")):
        flag.bin_rank = min(place // 10 + 1, 3)
        flag.save()
    given = np.array([item.given_label for item in items], dtype=np.int32)
    first, second = given.copy(), given.copy()
    first[:40], second[:40] = (given[:40] + 1) % 3, (given[:40] + 1) % 3
    first[50:55] = (given[50:55] + 1) % 3
    confidence = np.linspace(0.5, 0.99, n_items, dtype=np.float32)
    write_evidence(
        audit.pk,
        Evidence(
            top1=np.stack([first, second]),
            confidence=np.stack([confidence, confidence]),
            raw_confidence=np.stack([confidence, confidence]),
            given_probability=np.stack([1 - confidence, 1 - confidence]),
        ),
    )
    return audit


def judge(
    sample: Sample,
    verdicts: Mapping[int, str | tuple[str, int]],
    annotator: User | None = None,
    mode: Mode = Mode.QUICK,
    stage: Stage = Stage.REVEALED,
) -> list[Judgment]:
    """One person's verdicts, by item position; a pair adds the corrected class."""
    annotator = annotator or make_member(sample.audit.dataset.project, Role.ANNOTATOR)
    judgments = []
    for position, said in verdicts.items():
        verdict, corrected = said if isinstance(said, tuple) else (said, None)
        still_open = sample.slots.filter(
            sampled_item__item__position=position, state=ReviewSlot.State.OPEN
        )
        slot = still_open.order_by("number").first()
        assert slot is not None, f"no open slot for the item at {position}"
        judgment = Judgment(
            slot=slot,
            annotator=annotator,
            verdict=verdict,
            corrected_label=corrected,
            mode=mode,
            stage=stage,
            idempotency_key=uuid.uuid4(),
            body_sha256=hashlib.sha256(b"").hexdigest(),
            milliseconds=1500,
        )
        with transaction.atomic():
            append_link(lock_chain(Sample.objects.filter(pk=sample.pk)), judgment)
        slot.state, slot.annotator, slot.judgment = ReviewSlot.State.JUDGED, annotator, judgment
        slot.save()
        judgments.append(judgment)
    return judgments


def revise(
    judgment: Judgment, verdict: str, corrected: int | None = None, stage: Stage | None = None
) -> Judgment:
    """The same person's next version of a verdict."""
    newer = Judgment(
        slot=judgment.slot,
        annotator=judgment.annotator,
        verdict=verdict,
        corrected_label=corrected,
        mode=judgment.mode,
        stage=stage or judgment.stage,
        idempotency_key=uuid.uuid4(),
        body_sha256=hashlib.sha256(b"").hexdigest(),
        supersedes=judgment,
        milliseconds=900,
    )
    with transaction.atomic():
        append_link(lock_chain(Sample.objects.filter(slots=judgment.slot_id)), newer)
    ReviewSlot.objects.filter(pk=judgment.slot_id).update(judgment=newer)
    return newer


def make_wide_audit(n_items: int = 4000, n_bins: int = 15, seed: int = 0) -> Audit:
    """A larger audit whose experts dispute most errors: realistic curves, no pictures.

    5 % of the items are errors; the true label of an error is the next class. Two experts of
    .9 accuracy, Confident Learning a little different from both.
    """
    dataset = make_dataset(n_items=0, n_classes=10)
    dataset.n_items = n_items
    dataset.save()
    rng = np.random.default_rng(seed)
    given = rng.integers(0, 10, n_items)
    Item.objects.bulk_create(
        Item(dataset=dataset, position=place, key=f"{place:06d}.png", given_label=int(label))
        for place, label in enumerate(given)
    )
    audit = make_ready_audit(dataset, n_flags=0, n_bins=n_bins)
    is_error = planted_errors(n_items, seed)
    disputes = rng.random((2, n_items)) < np.where(is_error, 0.93, 0.09)
    top1 = np.where(disputes, (given + 1) % 10, given).astype(np.int32)
    confidence = np.clip(rng.beta(6, 2, (2, n_items)) * np.where(is_error, 1.1, 0.95), 0.1, 0.999)
    write_evidence(
        audit.pk,
        Evidence(
            top1=top1,
            confidence=confidence.astype(np.float32),
            raw_confidence=confidence.astype(np.float32),
            given_probability=np.where(disputes, 1 - confidence, confidence).astype(np.float32),
        ),
    )
    joint = confidence.min(axis=0)
    queues = {
        "ensemble": disputes.all(axis=0),
        "calibrated_ensemble": disputes.all(axis=0),
        "confident_learning": disputes[0] & (confidence[0] > rng.uniform(0.4, 0.8, n_items)),
        "basic:stub:10-0": disputes[0],
        "basic:stub:10-1": disputes[1],
    }
    items = list(dataset.items.all())
    for method, flagged in queues.items():
        places = np.flatnonzero(flagged)
        places = places[np.argsort(-joint[places], kind="stable")]
        bins = np.repeat(
            np.arange(1, n_bins + 1), [len(part) for part in np.array_split(places, n_bins)]
        )
        Flag.objects.bulk_create(
            Flag(
                audit=audit,
                item=items[place],
                method=method,
                rank=rank,
                score=float(joint[place]),
                bin_rank=int(bins[rank - 1]) if method == "calibrated_ensemble" else None,
                proposed_label=int((given[place] + 1) % 10),
                experts_agree=True,
            )
            for rank, place in enumerate(places, start=1)
        )
        audit.queue_counts[method] = int(flagged.sum())
    per_bin = np.bincount(bins, minlength=n_bins + 1)[1:]
    audit.queue_counts["calibrated_ensemble"] = np.cumsum(per_bin).tolist()
    audit.save()
    return audit


def planted_errors(n_items: int, seed: int = 0) -> Mask:
    """Which items of `make_wide_audit` are errors."""
    return np.random.default_rng(seed + 1).random(n_items) < 0.05


def judge_truthfully(sample: Sample, n_verdicts: int | None = None) -> list[Judgment]:
    """One person's true verdicts on a wide audit's sample, in serving order."""
    is_error = planted_errors(sample.audit.dataset.n_items)
    drawn = sample.items.select_related("item").order_by("order")[:n_verdicts]
    said = {
        row.item.position: (
            ("wrong_label", (row.item.given_label + 1) % 10)
            if is_error[row.item.position]
            else "label_correct"
        )
        for row in drawn
    }
    return judge(sample, said)
