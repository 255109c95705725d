"""Work that one worker at a time may hold: the columns behind claim, heartbeat and commit."""

from __future__ import annotations

from django.db import models


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

    work = models.CharField(max_length=8, choices=Work.choices, default=Work.PENDING)
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
