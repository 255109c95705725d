"""Data sets: immutable items with the labels they came with."""

from __future__ import annotations

from pathlib import Path

from django.db import models

from audit.models.projects import Project
from audit.querysets import DatasetQuerySet, ItemQuerySet


class Dataset(models.Model):
    """A labelled data set, frozen at import."""

    class Kind(models.TextChoices):
        """What an item is."""

        IMAGE = "image", "images"
        MULTIPLE_CHOICE = "multiple_choice", "multiple-choice questions"
        TASK = "task", "tasks without classes"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="datasets")
    slug = models.SlugField(unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    source_format = models.CharField(max_length=20)
    root = models.TextField(blank=True, help_text="Folder that item paths are relative to.")
    n_items = models.PositiveIntegerField()
    n_classes = models.PositiveIntegerField()
    n_quarantined = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, help_text="Over keys, labels and contents, in order.")
    notice = models.TextField(
        blank=True, help_text="What every page must say about this data set, in one sentence."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(n_quarantined__lte=models.F("n_items")),
                name="quarantined_items_are_items",
            )
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def folder(self) -> Path:
        """The folder that item paths are relative to."""
        return Path(self.root)

    @property
    def has_classes(self) -> bool:
        """Whether items have given labels; answers to tasks are graded where they come from."""
        return self.kind != self.Kind.TASK

    @property
    def has_pictures(self) -> bool:
        """Whether the items' images are here (scores alone can be audited without them)."""
        return self.kind == self.Kind.IMAGE and bool(self.root)

    @property
    def has_questions(self) -> bool:
        """Whether the items are multiple-choice questions, whose texts are always here."""
        return self.kind == self.Kind.MULTIPLE_CHOICE


class DatasetClass(models.Model):
    """One class of a data set, by index; two classes may share a name."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="classes")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=255)
    wordnet_id = models.CharField(max_length=16, blank=True)
    gloss = models.TextField(blank=True)
    synonyms = models.JSONField(default=list, blank=True)
    parents = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["index"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "index"], name="one_class_per_index")
        ]

    def __str__(self) -> str:
        return self.name


class FewShotExample(models.Model):
    """A solved question that few-shot prompts of its subject show, by its place. Never changes."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="examples")
    subject = models.CharField(max_length=255, blank=True)
    position = models.PositiveIntegerField()
    question = models.TextField()
    choices = models.JSONField()
    answer = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["dataset", "position"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "position"], name="one_example_per_position")
        ]

    def __str__(self) -> str:
        return f"example {self.position} of {self.dataset}"


class Item(models.Model):
    """One image or question with the label it was published with. Never changes."""

    # Found by every one of the indexes below.
    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=512)
    # Null for tasks alone, which no audit takes in: whoever reads labels may count on numbers.
    given_label: models.Field[int, int] = models.PositiveIntegerField(null=True)  # type: ignore[misc]
    content_sha256 = models.CharField(max_length=64, blank=True)
    image = models.TextField(blank=True)
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    question = models.TextField(blank=True)
    choices = models.JSONField(default=list, blank=True)
    subject = models.CharField(max_length=255, blank=True)
    notices = models.JSONField(default=list, blank=True)
    quarantine_code = models.CharField(max_length=32, blank=True)
    quarantine_detail = models.TextField(blank=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        ordering = ["dataset", "position"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "position"], name="one_item_per_position"),
            models.UniqueConstraint(fields=["dataset", "key"], name="one_item_per_key"),
        ]
        indexes = [models.Index(fields=["dataset", "quarantine_code"], name="items_by_quarantine")]

    def __str__(self) -> str:
        return self.key

    @property
    def is_quarantined(self) -> bool:
        """Whether the item can't be scored or shown; its label is kept as given."""
        return bool(self.quarantine_code)
