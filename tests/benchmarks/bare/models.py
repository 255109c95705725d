"""One queue and one table of verdicts."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """One item that waits, is looked at or is judged."""

    audit = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=6, default="open")
    priority = models.PositiveIntegerField()
    holder = models.PositiveIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["audit", "state", "priority", "id"], name="rows_to_claim")]

    def __str__(self) -> str:
        return f"row {self.pk}"


class Verdict(models.Model):
    """What somebody said about a row."""

    row = models.ForeignKey(Row, on_delete=models.PROTECT)
    person = models.PositiveIntegerField()
    verdict = models.CharField(max_length=16)
    key = models.UUIDField(unique=True)
    given_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.verdict
