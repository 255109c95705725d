"""Who does the work: the installation's version, and the workers' signs of life."""

from __future__ import annotations

from django.db import models

from audit.querysets import WorkerQuerySet


class Installation(models.Model):
    """The one row that says which version of this application the database belongs to.

    `migrate` writes it. A worker of another version refuses all work: half a data set scored by
    code that differs from the other half's would go unnoticed. It is the head of the log's chain
    too.
    """

    version = models.CharField(max_length=20)
    migrated_at = models.DateTimeField(auto_now=True)
    log_length = models.PositiveIntegerField(default=0)
    log_hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.version


class Worker(models.Model):
    """A worker's sign of life, so that pages can say whether anybody is listening."""

    name = models.CharField(max_length=120, unique=True)
    version = models.CharField(max_length=20)
    devices = models.CharField(max_length=255, blank=True)
    slots = models.PositiveSmallIntegerField(default=1, help_text="Chunks it scores at a time.")
    trouble = models.TextField(blank=True, help_text="Why it takes no work, empty if it does.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
