"""Questions about many rows of the reviews app, in the domain's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from audit.querysets import membership

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from audit.models import Role
    from audit.querysets import Person
    from reviews.models import Judgment, Referral, Release, ReviewSlot, Sample


class SampleQuerySet(models.QuerySet["Sample"]):
    """Samples."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> SampleQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))


class ReviewSlotQuerySet(models.QuerySet["ReviewSlot"]):
    """Review slots."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ReviewSlotQuerySet:
        return self.filter(membership("sample__audit__dataset__project", user, at_least))

    def claimable_by(self, annotator: User) -> ReviewSlotQuerySet:
        """Open slots, in serving order, of items this annotator has no part in yet."""
        mine = self.model.objects.filter(sampled_item=OuterRef("sampled_item"), annotator=annotator)
        return self.filter(~Exists(mine), state="open").order_by("order", "id")

    def held_by(self, annotator: User) -> ReviewSlotQuerySet:
        return self.filter(state="leased", annotator=annotator).order_by("order", "id")

    def expired(self) -> ReviewSlotQuerySet:
        """Leases that have run out."""
        return self.filter(state="leased", leased_until__lt=Now())


class JudgmentQuerySet(models.QuerySet["Judgment"]):
    """Judgments."""

    def standing(self) -> JudgmentQuerySet:
        """The newest version of each verdict, without the withdrawn ones."""
        return self.filter(superseded_by=None).exclude(verdict="withdrawn")

    def first_sight(self) -> JudgmentQuerySet:
        """Each slot's newest verdict from before label and experts were revealed, if it stands.

        A change of mind after the reveal replaces it in releases, but not here.
        """
        untouched = Q(superseded_by=None) | Q(superseded_by__stage="after")
        return self.filter(untouched, slot__annotator=F("annotator")).exclude(
            Q(stage="after") | Q(verdict="withdrawn")
        )

    def counted(self) -> JudgmentQuerySet:
        """The verdicts that curves rest on: at first sight, and not in the revealed arm."""
        return self.first_sight().exclude(mode="full", stage="revealed")


class ReferralQuerySet(models.QuerySet["Referral"]):
    """Referrals."""

    def standing(self) -> ReferralQuerySet:
        """Those that their annotators have not taken back."""
        return self.filter(is_open=True)


class ReleaseQuerySet(models.QuerySet["Release"]):
    """Releases."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ReleaseQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))
