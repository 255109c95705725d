"""Work that one worker at a time may hold: the columns behind claim, heartbeat and commit."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Claimable(models.Model):
    """A unit of work in the database. A claim raises `epoch`; a commit needs the same epoch.

    Losing, repeating or reordering the messages that announce the work is harmless: whoever
    comes late finds the epoch changed and writes nothing.
    """

    class Work(models.TextChoices):
        """How far the work is."""

        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    work = models.CharField(max_length=9, choices=Work.choices, default=Work.PENDING)
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    owner = models.CharField(max_length=120, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has it or will have it."""
        return self.work in {self.Work.PENDING, self.Work.RUNNING}

    @property
    def is_stopped(self) -> bool:
        """Whether it ended without a result, and can be taken up again."""
        return self.work in {self.Work.FAILED, self.Work.CANCELLED}

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return how long it still takes at its pace so far; None while it has none."""
        if self.work != self.Work.RUNNING or not done or self.claimed_at is None:
            return None
        seconds = (timezone.now() - self.claimed_at).total_seconds()
        return max(seconds, 0.0) * (total - done) / done
