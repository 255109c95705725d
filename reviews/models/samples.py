"""The sampling ledger: which items people judge, and with what probability each was drawn."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models import Audit, Item
from reviews.querysets import ReviewSlotQuerySet, SampleQuerySet


class Sample(models.Model):
    """The items of one audit that people judge; frozen before the first verdict."""

    audit = models.OneToOneField(Audit, on_delete=models.PROTECT, related_name="sample")
    seed = models.PositiveIntegerField()
    votes_per_item = models.PositiveSmallIntegerField(default=1)
    n_items = models.PositiveIntegerField()
    frozen_at = models.DateTimeField(auto_now_add=True)

    objects = SampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(votes_per_item__gte=1, votes_per_item__lte=9),
                name="one_to_nine_votes_per_item",
            )
        ]

    def __str__(self) -> str:
        return f"sample of {self.audit}"


class Stratum(models.Model):
    """A group of items drawn with one probability: which methods flag it, and in which bin."""

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="strata")
    name = models.CharField(max_length=200)
    is_flagged = models.BooleanField()
    n_population = models.PositiveIntegerField()
    n_drawn = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "strata"
        constraints = [
            models.UniqueConstraint(fields=["sample", "name"], name="one_stratum_per_name"),
            models.CheckConstraint(
                condition=models.Q(n_drawn__lte=models.F("n_population")),
                name="no_more_drawn_than_there_are",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def inclusion_probability(self) -> float:
        return self.n_drawn / self.n_population if self.n_population else 0.0


class SampledItem(models.Model):
    """One drawn item, in the random order in which it is served."""

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="items")
    stratum = models.ForeignKey(Stratum, on_delete=models.PROTECT, related_name="items")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="sampled")
    order = models.PositiveIntegerField()

    class Meta:
        ordering = ["sample", "order"]
        constraints = [
            models.UniqueConstraint(fields=["sample", "item"], name="an_item_is_drawn_once"),
            models.UniqueConstraint(fields=["sample", "order"], name="one_item_per_order"),
        ]

    def __str__(self) -> str:
        return str(self.item)


class ReviewSlot(models.Model):
    """Room for one person's verdict on one sampled item, with the lease that protects it."""

    class State(models.TextChoices):
        """Who may act on the slot."""

        OPEN = "open"
        LEASED = "leased"
        JUDGED = "judged"

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="slots")
    sampled_item = models.ForeignKey(SampledItem, on_delete=models.PROTECT, related_name="slots")
    number = models.PositiveSmallIntegerField()
    order = models.PositiveIntegerField()
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    leased_until = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0)
    judgment = models.ForeignKey(
        "Judgment", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = ReviewSlotQuerySet.as_manager()

    class Meta:
        ordering = ["sample", "order"]
        constraints = [
            models.UniqueConstraint(fields=["sampled_item", "number"], name="one_slot_per_vote"),
            models.UniqueConstraint(
                fields=["sampled_item", "annotator"], name="one_vote_per_person_and_item"
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", annotator=None, judgment=None)
                | models.Q(state="leased", annotator__isnull=False, leased_until__isnull=False)
                | models.Q(state="judged", annotator__isnull=False, judgment__isnull=False),
                name="slot_state_matches_its_holder",
            ),
        ]
        indexes = [models.Index(fields=["sample", "state", "order", "id"], name="slots_to_claim")]

    def __str__(self) -> str:
        return f"{self.sampled_item} ({self.state})"
