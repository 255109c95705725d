"""Questions about many rows of the reviews app, in the domain's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, Value
from django.db.models.functions import Cast, Coalesce, Now

from audit.querysets import membership

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from audit.models import Role
    from audit.querysets import Person
    from reviews.models import (
        Adjudication,
        Judgment,
        KnownItem,
        Referral,
        Release,
        ReviewSlot,
        Sample,
        SampledItem,
    )


class SampleQuerySet(models.QuerySet["Sample"]):
    """Samples."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> SampleQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))

    def adjudicable(self) -> SampleQuerySet:
        """Those in which something can be split or is flagged."""
        is_flagged = Q(items__referrals__is_open=True)
        return self.filter(is_flagged | Q(votes_per_item__gt=1)).distinct()


class SampledItemQuerySet(models.QuerySet["SampledItem"]):
    """Sampled items."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> SampledItemQuerySet:
        return self.filter(membership("sample__audit__dataset__project", user, at_least))

    def drawn(self) -> SampledItemQuerySet:
        """Items of the sample itself, not those whose answer is known."""
        return self.filter(stratum__isnull=False)

    def unadjudicated(self) -> SampledItemQuerySet:
        """Items that nobody decided, or that somebody flagged since."""
        return self.filter(Q(adjudications=None) | Q(referrals__is_open=True)).distinct()

    def with_differing_votes(self) -> SampledItemQuerySet:
        """Undecided items with two votes or more that aren't written alike.

        The same classes in another order are written otherwise: whether votes differ is told
        from what they say.
        """
        votes = Q(slots__state="judged", slots__purpose="estimate")
        verdict, label = "slots__judgment__verdict", "slots__judgment__corrected_label"
        no_label = Value(-1, output_field=models.IntegerField())
        text = models.TextField()
        ticked = Coalesce(Cast("slots__judgment__labels", text), Value("", output_field=text))
        counted = self.filter(adjudications=None).annotate(
            n_votes=Count("slots", filter=votes),
            first_verdict=Min(verdict, filter=votes),
            last_verdict=Max(verdict, filter=votes),
            first_label=Min(Coalesce(label, no_label), filter=votes),
            last_label=Max(Coalesce(label, no_label), filter=votes),
            first_ticked=Min(ticked, filter=votes),
            last_ticked=Max(ticked, filter=votes),
        )
        differ = ~Q(first_verdict=F("last_verdict")) | ~Q(first_label=F("last_label"))
        differ |= ~Q(first_ticked=F("last_ticked"))
        return counted.filter(differ | Q(first_verdict="unsure"), n_votes__gt=1)


class ReviewSlotQuerySet(models.QuerySet["ReviewSlot"]):
    """Review slots."""

    def claimable_by(self, annotator: User) -> ReviewSlotQuerySet:
        """Open slots, in serving order, of items this annotator has no part in yet."""
        mine = self.model.objects.filter(sampled_item=OuterRef("sampled_item"), annotator=annotator)
        return self.filter(~Exists(mine), state="open").order_by("order", "id")

    def held_by(self, annotator: User) -> ReviewSlotQuerySet:
        return self.filter(state="leased", annotator=annotator).order_by("order", "id")

    def for_estimates(self) -> ReviewSlotQuerySet:
        """Slots whose votes say something about the sample."""
        return self.filter(purpose="estimate")

    def expired(self) -> ReviewSlotQuerySet:
        """Leases that have run out."""
        return self.filter(state="leased", leased_until__lt=Now())


class JudgmentQuerySet(models.QuerySet["Judgment"]):
    """Judgments."""

    def for_estimates(self) -> JudgmentQuerySet:
        """Those that say something about the sample, not about the annotator."""
        return self.filter(slot__purpose="estimate")

    def standing(self) -> JudgmentQuerySet:
        """The newest version of each verdict, without the withdrawn ones."""
        return self.filter(superseded_by=None).exclude(verdict="withdrawn")

    def first_sight(self, purpose: str = "estimate") -> JudgmentQuerySet:
        """Each slot's newest verdict from before label and experts were revealed, if it stands.

        A change of mind after the reveal replaces it in releases, but not here.
        """
        untouched = Q(superseded_by=None) | Q(superseded_by__stage="after")
        theirs = self.filter(untouched, slot__annotator=F("annotator"), slot__purpose=purpose)
        return theirs.exclude(Q(stage="after") | Q(verdict="withdrawn"))

    def counted(self) -> JudgmentQuerySet:
        """The verdicts that curves rest on: at first sight, and not in the revealed arm."""
        return self.first_sight().exclude(mode="full", stage="revealed")

    def on_gold(self) -> JudgmentQuerySet:
        """The verdicts that say how well annotators judge: on gold, in the same sight."""
        return self.first_sight("gold").exclude(mode="full", stage="revealed")


class KnownItemQuerySet(models.QuerySet["KnownItem"]):
    """Items whose answer is known."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> KnownItemQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))


class AdjudicationQuerySet(models.QuerySet["Adjudication"]):
    """Adjudications."""

    def standing(self) -> AdjudicationQuerySet:
        """Those that no later one supersedes."""
        return self.filter(superseded_by=None)


class ReferralQuerySet(models.QuerySet["Referral"]):
    """Referrals."""

    def standing(self) -> ReferralQuerySet:
        """Those that their annotators have not taken back."""
        return self.filter(is_open=True)


class ReleaseQuerySet(models.QuerySet["Release"]):
    """Releases."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ReleaseQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))
