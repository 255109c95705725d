"""One batch size per score set and kind of device, whoever computes: it moves logits' last bits."""

from __future__ import annotations

from django.db import transaction

from audit.models import ScoreSet
from scoring.experts.base import BatchedExpert, Expert

BATCH_SIZES = "batch_sizes"


def settle_batch_size(score_set: ScoreSet, expert: Expert) -> None:
    """Have the expert take batches of the size that these scores are computed with on its device.

    Who comes first finds it, by a search where that pays, and writes it down for all others.
    """
    if not isinstance(expert, BatchedExpert):
        return
    device = expert.card.device
    sizes = score_set.parameters.get(BATCH_SIZES, {})
    if device not in sizes:
        sizes = _write_down(score_set, device, expert.batches.find_size())
    expert.batches.use_size(sizes[device])


@transaction.atomic
def _write_down(score_set: ScoreSet, device: str, size: int) -> dict[str, int]:
    """Note the size unless somebody was quicker; return what is noted for all devices."""
    locked = ScoreSet.objects.select_for_update().get(pk=score_set.pk)
    sizes: dict[str, int] = {device: size} | locked.parameters.get(BATCH_SIZES, {})
    locked.parameters[BATCH_SIZES] = sizes
    locked.save(update_fields=["parameters"])
    score_set.parameters = locked.parameters
    return sizes
