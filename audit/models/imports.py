"""Imports that scripts order: a worker brings files in, or says why it can't."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models.claims import Claimable
from audit.models.datasets import Dataset
from audit.models.projects import Project
from audit.models.scores import ScoreSet
from audit.querysets import ImportQuerySet


class Import(Claimable):
    """A data set, an expert's scores or outside votes to be brought in from the server's folders.

    ``dataset`` is what scores and votes belong to; a data set's own import has it once it is done.
    """

    class Kind(models.TextChoices):
        """What is brought in."""

        DATASET = "dataset", "a data set"
        SCORES = "scores", "an expert's scores"
        VOTES = "votes", "outside votes"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="imports")
    kind = models.CharField(max_length=7, choices=Kind.choices, default=Kind.DATASET)
    name = models.CharField(
        max_length=255, help_text="What the data set, the expert or the source will be called."
    )
    order = models.JSONField(help_text="Format and path, and whatever else the format takes.")
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    score_set = models.ForeignKey(
        ScoreSet, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    found = models.JSONField(default=dict, blank=True, help_text="What was made of the files.")
    refusal = models.JSONField(
        default=dict, blank=True, help_text="The first thing that is wrong: code, row, column."
    )
    n_done = models.PositiveIntegerField(default=0, help_text="Images checked so far.")
    n_items = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"import of {self.name}"
