"""Plain functions that make an audit with every kind of item, and people's judgments of it."""

from __future__ import annotations

import numpy as np

from audit.evidence import Evidence, write_evidence
from audit.models import Audit, Flag
from tests.factories import make_dataset, make_ready_audit


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
