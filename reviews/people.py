"""Who has judged how much, when and how fast, in all audits of a project. No arithmetic here."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count
from django.utils import timezone

from audit.models import Project
from reviews.models import Adjudication, Judgment, Verdict
from scoring.pace import Pace, describe_pace

DAYS_SHOWN = 30
# One a second, for a while: the server's clock says so, whatever the page says of looking.
TOO_FAST_PER_HOUR, TOO_FAST_LEAST = 3600, 20


@dataclass(frozen=True, slots=True)
class PersonActivity:
    """What one member, or somebody who was one, has done. ``role`` is empty for the latter."""

    name: str
    role: str
    pace: Pace
    n_undone: int
    n_adjudicated: int
    last: datetime | None
    days: dict[date, int]

    @property
    def is_too_fast(self) -> bool:
        """Whether verdicts came faster than anybody looks, by the times at which they arrived."""
        per_hour = self.pace.per_hour
        return self.pace.n >= TOO_FAST_LEAST and (per_hour or 0) > TOO_FAST_PER_HOUR


def describe_people(project: Project) -> list[PersonActivity]:
    """Return the members by name, then those who judged here and have left."""
    members = project.memberships.select_related("user").order_by("user__username")
    roles = {each.user.username: each.get_role_display() for each in members}
    decided: defaultdict[str, list[datetime]] = defaultdict(list)
    looked: defaultdict[str, list[float]] = defaultdict(list)
    undone: Counter[str] = Counter()
    rows = Judgment.objects.filter(slot__sample__audit__dataset__project=project).order_by("pk")
    for name, verdict, when, milliseconds in rows.values_list(
        "annotator__username", "verdict", "decided_at", "milliseconds"
    ).iterator(chunk_size=5000):
        if verdict == Verdict.WITHDRAWN:
            undone[name] += 1
        else:
            decided[name].append(when)
            looked[name].append(milliseconds / 1000)
    ruled = _count_adjudications(project)
    others = sorted((decided.keys() | ruled.keys()) - roles.keys())
    return [
        PersonActivity(
            name=name,
            role=roles.get(name, ""),
            pace=describe_pace([each.timestamp() for each in decided[name]], looked[name]),
            n_undone=undone[name],
            n_adjudicated=ruled[name],
            last=max(decided[name], default=None),
            days=dict(Counter(timezone.localtime(each).date() for each in decided[name])),
        )
        for name in (*roles, *others)
    ]


def _count_adjudications(project: Project) -> Counter[str]:
    rows = Adjudication.objects.filter(sampled_item__sample__audit__dataset__project=project)
    by_person = rows.order_by().values_list("adjudicator__username").annotate(n=Count("pk"))
    return Counter(dict(by_person))


def list_days(people: list[PersonActivity]) -> list[date]:
    """Return the last days on which anybody judged, the oldest first."""
    return sorted({day for person in people for day in person.days})[-DAYS_SHOWN:]
