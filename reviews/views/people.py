"""The people of a project: roles, how much and how fast each of them judges, day by day."""

from __future__ import annotations

import csv

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from audit.models import Audit, Project, Role
from reviews.people import describe_people, list_days
from reviews.release_formats.changes import neutralise

COLUMNS = ("person", "role", "verdicts", "undone", "adjudicated", "median_seconds",
           "under_a_second", "verdicts_per_hour", "hours")  # fmt: skip


@require_GET
def people(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every member with their activity; admins only."""
    project = find_admins_project(request, pk)
    persons = describe_people(project)
    days = list_days(persons)
    activity = {
        "days": [day.isoformat() for day in days],
        "people": [
            {"name": person.name, "verdicts": [person.days.get(day, 0) for day in days]}
            for person in persons
            if person.pace.n
        ],
    }
    audits = Audit.objects.filter(dataset__project=project, state=Audit.State.READY)
    context = {
        "project": project,
        "people": persons,
        "activity": activity,
        "audits": audits.select_related("dataset").order_by("-pk")[:20],
    }
    return render(request, "reviews/people.html", context)


@require_GET
def people_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with everybody's figures, and a column per day, as a table."""
    project = find_admins_project(request, pk)
    persons = describe_people(project)
    days = sorted({day for person in persons for day in person.days})
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="people-{project.slug}.csv"'},
    )
    writer = csv.writer(response)
    writer.writerow([*COLUMNS, *days])
    for person in persons:
        pace = person.pace
        figures = (person.n_undone, person.n_adjudicated, pace.median, pace.n_under_a_second)
        speed = (pace.per_hour, pace.active / 3600)
        writer.writerow(
            [
                neutralise(person.name),
                person.role,
                pace.n,
                *figures,
                *speed,
                *(person.days.get(day, 0) for day in days),
            ]
        )
    return response


def find_admins_project(request: HttpRequest, pk: int) -> Project:
    """Return a project that the person administers, or answer 404."""
    return get_object_or_404(Project.objects.open_to(request.user, at_least=Role.ADMIN), pk=pk)
