"""An expert's scores of a data set, and the chunks in which workers make them."""

from __future__ import annotations

from django.db import models

from audit.models.claims import Claimable
from audit.models.datasets import Dataset, Item
from audit.querysets import ChunkQuerySet, ScoreSetQuerySet


class ScoreSet(Claimable):
    """One expert's logits for every item of one data set, made once and shared by all audits.

    What is claimed is the closing, once all chunks are done.
    """

    class Source(models.TextChoices):
        """Where the scores come from."""

        RUN = "run", "run by a worker"
        IMPORTED = "imported", "imported"
        COMBINED = "combined", "combined from cross-fitted folds"

    class State(models.TextChoices):
        """How far the scores are."""

        SCORING = "scoring"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="score_sets")
    expert = models.CharField(max_length=255)
    source = models.CharField(max_length=10, choices=Source.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.SCORING)
    parameters = models.JSONField(default=dict, blank=True)
    card = models.JSONField(
        default=dict, blank=True, help_text="The expert's identity: weights, transform, versions."
    )
    sha256 = models.CharField(max_length=64, blank=True)
    is_urgent = models.BooleanField(
        default=False, help_text="Its chunks come before all others, as an audit asked."
    )
    failures = models.PositiveIntegerField(
        default=0, help_text="Attempts at its chunks that failed since it was planned or resumed."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScoreSetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "expert"], name="one_score_set_per_expert_and_dataset"
            )
        ]

    def __str__(self) -> str:
        return f"{self.expert} on {self.dataset}"

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def caveat(self) -> str:
        """What every page that shows figures of these scores must say, empty if nothing."""
        return str(self.parameters.get("notice", ""))

    @property
    def has_outcomes_only(self) -> bool:
        """Whether each item has a score and a verdict (two columns) in place of class logits."""
        return bool(self.parameters.get("kind") == "correctness")


class Chunk(Claimable):
    """A run of items [start, stop) that one worker scores at a time."""

    score_set = models.ForeignKey(ScoreSet, on_delete=models.CASCADE, related_name="chunks")
    start = models.PositiveIntegerField()
    stop = models.PositiveIntegerField()
    shard = models.CharField(max_length=120, blank=True)
    shard_sha256 = models.CharField(max_length=64, blank=True)
    bounded = models.JSONField(
        default=list, blank=True, help_text="Positions of items with a logit that is a bound."
    )

    objects = ChunkQuerySet.as_manager()

    class Meta:
        ordering = ["score_set", "start"]
        constraints = [
            models.UniqueConstraint(fields=["score_set", "start"], name="one_chunk_per_start"),
            models.CheckConstraint(
                condition=models.Q(stop__gt=models.F("start")), name="chunk_has_items"
            ),
        ]
        indexes = [
            models.Index(fields=["work", "score_set", "epoch", "start"], name="chunks_by_work"),
            models.Index(fields=["work", "announced_at"], name="chunks_by_wake_up"),
        ]

    def __str__(self) -> str:
        return f"{self.score_set} [{self.start}, {self.stop})"

    @property
    def n_items(self) -> int:
        return self.stop - self.start


class UnscorableItem(models.Model):
    """An item that one expert can't score: left out of its figures, kept with the reason."""

    score_set = models.ForeignKey(ScoreSet, on_delete=models.CASCADE, related_name="unscorable")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="unscorable")
    code = models.CharField(max_length=32)
    detail = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["score_set", "item"], name="one_reason_per_unscorable_item"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item}: {self.code}"
