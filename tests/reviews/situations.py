"""Plain functions that make an audit with every kind of item, and people's judgments of it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

import numpy as np
from django.contrib.auth.models import User

from audit.evidence import Evidence, write_evidence
from audit.models import Audit, Flag, Role
from reviews.models import Judgment, ReviewSlot, Sample
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
) -> list[Judgment]:
    """One person's verdicts, by item position; a pair adds the corrected class."""
    annotator = annotator or make_member(sample.audit.dataset.project, Role.ANNOTATOR)
    judgments = []
    for position, said in verdicts.items():
        verdict, corrected = said if isinstance(said, tuple) else (said, None)
        slot = sample.slots.filter(
            sampled_item__item__position=position, state=ReviewSlot.State.OPEN
        ).first()
        assert slot is not None, f"no open slot for the item at {position}"
        judgment = Judgment.objects.create(
            slot=slot,
            annotator=annotator,
            verdict=verdict,
            corrected_label=corrected,
            idempotency_key=uuid.uuid4(),
            body_sha256=hashlib.sha256(b"").hexdigest(),
            milliseconds=1500,
        )
        slot.state, slot.annotator, slot.judgment = ReviewSlot.State.JUDGED, annotator, judgment
        slot.save()
        judgments.append(judgment)
    return judgments


def revise(judgment: Judgment, verdict: str, corrected: int | None = None) -> Judgment:
    """The same person's next version of a verdict."""
    newer = Judgment.objects.create(
        slot=judgment.slot,
        annotator=judgment.annotator,
        verdict=verdict,
        corrected_label=corrected,
        idempotency_key=uuid.uuid4(),
        body_sha256=hashlib.sha256(b"").hexdigest(),
        supersedes=judgment,
        milliseconds=900,
    )
    ReviewSlot.objects.filter(pk=judgment.slot_id).update(judgment=newer)
    return newer
