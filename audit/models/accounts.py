"""How often somebody tried a password lately; the accounts themselves are Django's."""

from __future__ import annotations

from django.db import models


class LogInBucket(models.Model):
    """Attempts of the present quarter of an hour, per account name, address or known browser."""

    key = models.CharField(max_length=64, primary_key=True, help_text="A hash of what it counts.")
    since = models.DateTimeField(db_index=True)
    n_used = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.n_used} since {self.since}"
