"""Questions about many rows of the audit app, in the domain's words."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    from audit.models import (
        ApiToken,
        Audit,
        Chunk,
        Dataset,
        Flag,
        Import,
        Item,
        LogEntry,
        Measurement,
        Project,
        Role,
        ScoreSet,
        Worker,
    )

    Person = AbstractBaseUser | AnonymousUser


def membership(prefix: str, user: Person, at_least: Role | int) -> Q:
    """Return the condition "user has at least this role in the project at `prefix`".

    Whoever comes with an API token for one project (`limited_to`) has no other.
    """
    path = f"{prefix}__memberships" if prefix else "memberships"
    condition = Q(**{f"{path}__user": user.pk, f"{path}__role__gte": int(at_least)})
    only: int | None = getattr(user, "limited_to", None)
    return condition if only is None else condition & Q(**{f"{path}__project": only})


def may_be_tried() -> Q:
    """Return the condition that pending work isn't put off until something is back."""
    return Q(not_before__isnull=True) | Q(not_before__lte=Now())


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """API tokens."""

    def open_to(self, user: Person) -> ApiTokenQuerySet:
        """Their own, which nobody else sees."""
        return self.filter(user=user.pk)

    def active(self) -> ApiTokenQuerySet:
        """Neither revoked nor expired."""
        return self.filter(revoked_at=None, expires_at__gt=Now())


class ProjectQuerySet(models.QuerySet["Project"]):
    """Projects."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ProjectQuerySet:
        return self.filter(membership("", user, at_least))


class DatasetQuerySet(models.QuerySet["Dataset"]):
    """Data sets."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> DatasetQuerySet:
        return self.filter(membership("project", user, at_least))

    def with_classes(self) -> DatasetQuerySet:
        """Those whose items have labels to audit."""
        return self.filter(n_classes__gt=0)


class ItemQuerySet(models.QuerySet["Item"]):
    """Items."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ItemQuerySet:
        return self.filter(membership("dataset__project", user, at_least))

    def usable(self) -> ItemQuerySet:
        return self.filter(quarantine_code="")

    def quarantined(self) -> ItemQuerySet:
        # Not "unequal": only this finds a few among millions by the index.
        return self.filter(quarantine_code__gt="")

    def in_range(self, start: int, stop: int) -> ItemQuerySet:
        """The items of a chunk, in order."""
        return self.filter(position__gte=start, position__lt=stop).order_by("position")


class ScoreSetQuerySet(models.QuerySet["ScoreSet"]):
    """Score sets."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> ScoreSetQuerySet:
        return self.filter(membership("dataset__project", user, at_least))

    def scoring(self) -> ScoreSetQuerySet:
        return self.filter(state="scoring")

    def in_order(self) -> ScoreSetQuerySet:
        """The order in which they are scored: urgent audits first, then by age."""
        return self.order_by("-is_urgent", "created_at", "pk")

    def unfinished(self) -> ScoreSetQuerySet:
        return self.exclude(state="ready")

    def complete(self) -> ScoreSetQuerySet:
        """Score sets whose chunks are all done, so that they can be closed."""
        unfinished = ["pending", "running", "failed"]
        return self.scoring().filter(source="run").exclude(chunks__work__in=unfinished)

    def to_close(self) -> ScoreSetQuerySet:
        """Those of them that nobody closes yet."""
        return self.complete().filter(may_be_tried(), work="pending")

    def with_logits(self) -> ScoreSetQuerySet:
        """Finished score sets that an audit can use: not mere outcomes of generated answers."""
        # Without the first half, a row without the key would be unknown, and so left out.
        useful = ~Q(parameters__has_key="kind") | ~Q(parameters__kind="correctness")
        return self.filter(useful, state="ready")


class ChunkQuerySet(models.QuerySet["Chunk"]):
    """Chunks."""

    def pending(self) -> ChunkQuerySet:
        """Chunks that a worker may take now."""
        return self.filter(may_be_tried(), work="pending", score_set__state="scoring")

    def announced(self) -> ChunkQuerySet:
        """Pending chunks whose wake-up is recent enough to be on its way."""
        recent = Now() - timedelta(seconds=2 * settings.CLAIM_SECONDS)
        return self.pending().filter(announced_at__gte=recent)

    def in_order(self) -> ChunkQuerySet:
        """The order in which chunks are scored: urgent audits first, then first come, first served.

        What was claimed before comes last, so that a chunk that kills its worker or raises
        doesn't hold up the others, and its halves are tried before the quarters of one of them.
        """
        return self.order_by(
            "-score_set__is_urgent", "score_set__created_at", "score_set", "epoch", "start"
        )

    def unfinished(self) -> ChunkQuerySet:
        return self.exclude(work="done")


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Workers."""

    def alive(self) -> WorkerQuerySet:
        """Workers that gave a sign of life within the last ten seconds."""
        return self.filter(seen_at__gte=Now() - timedelta(seconds=10))

    def listening(self) -> WorkerQuerySet:
        """Those of them that take work."""
        return self.alive().filter(trouble="")


class AuditQuerySet(models.QuerySet["Audit"]):
    """Audits."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> AuditQuerySet:
        return self.filter(membership("dataset__project", user, at_least))

    def under_way(self) -> AuditQuerySet:
        return self.filter(state__in=["scoring", "calibrating"])

    def to_calibrate(self) -> AuditQuerySet:
        """Audits whose scores are there and that nobody calibrates yet."""
        return self.filter(may_be_tried(), state="calibrating", work="pending")

    def ready(self) -> AuditQuerySet:
        return self.filter(state="ready")


class FlagQuerySet(models.QuerySet["Flag"]):
    """Flags."""

    def of_method(self, method: str) -> FlagQuerySet:
        return self.filter(method=method).order_by("rank")

    def first_places(self, n: int) -> FlagQuerySet:
        """The n flags that a method ranks first."""
        return self.filter(rank__lte=n)

    def within_top(self, k: int) -> FlagQuerySet:
        """Flags in the k most confident bins."""
        return self.filter(bin_rank__lte=k)


class ImportQuerySet(models.QuerySet["Import"]):
    """Imports that scripts order."""

    def of_votes(self) -> ImportQuerySet:
        return self.filter(kind="votes")

    def of_data(self) -> ImportQuerySet:
        """Of data sets and scores."""
        return self.exclude(kind="votes")

    def open_to(self, user: Person, at_least: Role | int = 1) -> ImportQuerySet:
        return self.filter(membership("project", user, at_least))

    def pending(self) -> ImportQuerySet:
        return self.filter(may_be_tried(), work="pending")


class MeasurementQuerySet(models.QuerySet["Measurement"]):
    """Measurements."""

    def open_to(self, user: Person, at_least: Role | int = 1) -> MeasurementQuerySet:
        return self.filter(membership("audit__dataset__project", user, at_least))

    def under_way(self) -> MeasurementQuerySet:
        return self.filter(work__in=["pending", "running"])

    def ready(self) -> MeasurementQuerySet:
        return self.filter(work="done")

    def pending(self) -> MeasurementQuerySet:
        return self.filter(work="pending")


class LogQuerySet(models.QuerySet["LogEntry"]):
    """Log entries."""

    def about(self, project: Project) -> LogQuerySet:
        """What was done in a project, and the log-ins of everybody who is its member."""
        members = project.memberships.values("user")
        of_account = Q(project="", person_number__in=members)
        return self.filter(Q(project=project.slug) | of_account)
