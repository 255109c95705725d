"""Projects and who may do what in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from audit.querysets import ProjectQuerySet


class Role(models.IntegerChoices):
    """What a member may do; each role includes the ones before it."""

    ANNOTATOR = 1, "annotator"
    MAINTAINER = 2, "maintainer"
    ADMIN = 3, "admin"


class Project(models.Model):
    """A team's data sets and the people who audit them."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's role in one project."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.PositiveSmallIntegerField(choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="one_role_per_member_and_project"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="known_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.project}"
