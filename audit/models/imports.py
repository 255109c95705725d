"""Imports that scripts order: a worker brings a data set in, or says why it can't."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models.claims import Claimable
from audit.models.datasets import Dataset
from audit.models.projects import Project
from audit.querysets import DatasetImportQuerySet


class DatasetImport(Claimable):
    """One data set to be brought in from a folder of the server, as it was ordered."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="imports")
    slug = models.SlugField()
    order = models.JSONField(help_text="Format, path, classes, root, split, notice.")
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    refusal = models.JSONField(
        default=dict, blank=True, help_text="The first thing that is wrong: code, row, column."
    )
    n_done = models.PositiveIntegerField(default=0, help_text="Images checked so far.")
    n_items = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetImportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"import of {self.slug}"
