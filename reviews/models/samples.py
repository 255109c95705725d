"""The sampling ledger: which items people judge, and with what probability each was drawn."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.models import Audit, Item
from reviews.querysets import ReviewSlotQuerySet, SampledItemQuerySet, SampleQuerySet


class Sample(models.Model):
    """The items of one audit that people judge. The first verdict freezes it."""

    audit = models.OneToOneField(Audit, on_delete=models.PROTECT, related_name="sample")
    seed = models.PositiveIntegerField()
    votes_per_item = models.PositiveSmallIntegerField(
        default=1, help_text="In the stratum that gets the most."
    )
    revealed_share = models.FloatField(
        default=0.0,
        help_text="Share of (item, annotator) pairs that see the label and the experts first.",
    )
    adds_third_vote = models.BooleanField(
        default=True, help_text="One more vote on items whose two votes differ."
    )
    n_items = models.PositiveIntegerField()
    n_votes = models.PositiveIntegerField(help_text="Over all items.")
    drawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    drawn_at = models.DateTimeField(auto_now_add=True)
    chain_length = models.PositiveIntegerField(default=0)
    chain_hash = models.CharField(
        max_length=64, blank=True, help_text="The newest hash of the chain over all verdicts."
    )

    objects = SampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(votes_per_item__gte=1, votes_per_item__lte=9),
                name="one_to_nine_votes_per_item",
            ),
            models.CheckConstraint(
                condition=models.Q(revealed_share__gte=0, revealed_share__lte=1),
                name="revealed_share_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"sample of {self.audit}"

    @property
    def is_frozen(self) -> bool:
        """Whether anybody has judged or referred an item: then nothing is drawn anew."""
        is_judged = self.slots.filter(judgments__isnull=False).exists()
        return is_judged or self.items.filter(referrals__isnull=False).exists()


class Stratum(models.Model):
    """A group of items drawn with one probability: which methods flag it, and in which bin."""

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="strata")
    name = models.CharField(max_length=200)
    is_flagged = models.BooleanField()
    n_population = models.PositiveIntegerField()
    n_drawn = models.PositiveIntegerField()
    votes_per_item = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "strata"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(votes_per_item__gte=1, votes_per_item__lte=9),
                name="one_to_nine_votes_per_item_of_a_stratum",
            ),
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
    """One item that people are shown: drawn, in the random order of serving, or known."""

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="items")
    stratum = models.ForeignKey(
        Stratum,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="items",
        help_text="None beside the sample: of items whose answer is known.",
    )
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="sampled")
    order = models.PositiveIntegerField()
    candidates = models.JSONField(
        default=list, blank=True, help_text="Classes to choose from, the given label first."
    )
    revision = models.CharField(
        max_length=64, blank=True, help_text="Hash of what there was to see when it was drawn."
    )

    objects = SampledItemQuerySet.as_manager()

    class Meta:
        ordering = ["sample", "order"]
        constraints = [
            models.UniqueConstraint(fields=["sample", "item"], name="an_item_is_drawn_once"),
            models.UniqueConstraint(fields=["sample", "order"], name="one_item_per_order"),
        ]

    def __str__(self) -> str:
        return str(self.item)

    @property
    def votes_wanted(self) -> int:
        """How many votes the plan asks for."""
        return self.stratum.votes_per_item if self.stratum else 0


class SampledClass(models.Model):
    """What the desk shows of one class beside a sample's items."""

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="classes")
    index = models.PositiveIntegerField()
    exemplars = models.JSONField(
        default=list, blank=True, help_text="Items that show it clearly, none of them sampled."
    )
    near = models.JSONField(
        default=dict,
        blank=True,
        help_text="Other classes -> what an item is called that is one of those, but labelled so.",
    )

    class Meta:
        ordering = ["sample", "index"]
        constraints = [
            models.UniqueConstraint(fields=["sample", "index"], name="one_sampled_class_per_index")
        ]

    def __str__(self) -> str:
        return f"class {self.index} of {self.sample}"


class ReviewSlot(models.Model):
    """Room for one person's verdict on one sampled item, with the lease that protects it."""

    class State(models.TextChoices):
        """Who may act on the slot."""

        OPEN = "open"
        LEASED = "leased"
        JUDGED = "judged"

    class Purpose(models.TextChoices):
        """What the verdict is asked for. Only the first kind is ever counted."""

        ESTIMATE = "estimate", "it says something about the sample"
        GOLD = "gold", "the answer is known: it says something about the annotator"
        TRAINING = "training", "the answer is known, and told after the verdict"

    # Three foreign keys have no index of their own: longer ones below begin with them.
    sample = models.ForeignKey(
        Sample, on_delete=models.PROTECT, related_name="slots", db_index=False
    )
    sampled_item = models.ForeignKey(
        SampledItem, on_delete=models.PROTECT, related_name="slots", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    purpose = models.CharField(max_length=8, choices=Purpose.choices, default=Purpose.ESTIMATE)
    order = models.PositiveIntegerField()
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
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
        indexes = [
            models.Index(fields=["sample", "state", "order", "id"], name="slots_to_claim"),
            models.Index(
                fields=["annotator", "sample", "state", "order", "id"], name="slots_in_hand"
            ),
            models.Index(fields=["state", "leased_until"], name="leases_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.sampled_item} ({self.state})"
