"""The people of a project: who may do what, how much and how fast each of them judges."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from audit.models import Audit, Project, Role
from audit.services.members import MembershipRefusedError, add_member, change_role
from audit.spreadsheets import neutralise
from audit.views.access import find_admins_project
from audit.views.confirmation import needs_confirmation
from reviews.member_forms import AddMemberForm, MemberForm, RoleForm
from reviews.people import describe_people, list_days
from reviews.services.members import remove_member

COLUMNS = ("person", "role", "verdicts", "undone", "adjudicated", "median_seconds",
           "under_a_second", "verdicts_per_hour", "hours")  # fmt: skip


@require_GET
def people(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every member with their activity; admins only."""
    return render(request, "reviews/people.html", _context(find_admins_project(request, pk)))


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account that was just made; its password is shown this once."""

    name: str
    password: str


@require_POST
@never_cache
@needs_confirmation
def change_members(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a member, change a role or let a member go; admins only."""
    project = find_admins_project(request, pk)
    made, refusal, add_form = None, "That isn't anything that can be changed here.", AddMemberForm()
    try:
        match request.POST.get("act"):
            case "add":
                add_form = AddMemberForm(request.POST)
                refusal = "Nobody was added."
                if add_form.is_valid():
                    made = _add(request, project, add_form)
                    refusal, add_form = "", AddMemberForm()
            case "role" if (form := RoleForm(request.POST, project=project)).is_valid():
                member = form.cleaned_data["member"]
                change_role(member, form.cleaned_data["role"], request.user)
                messages.success(request, f"The role of {member.user} is changed.")
                refusal = ""
            case "remove" if (gone := MemberForm(request.POST, project=project)).is_valid():
                member = gone.cleaned_data["member"]
                remove_member(member, request.user)
                messages.success(request, f"{member.user} is no member any more.")
                refusal = ""
            case "role" | "remove" if not MemberForm(request.POST, project=project).is_valid():
                refusal = "Nothing is changed: that person is no member any more."
    except MembershipRefusedError as error:
        refusal = f"Nothing is changed: {error}."
    if not refusal and made is None:
        # Who has just given up their own rights would find nothing there.
        still = Project.objects.open_to(request.user, at_least=Role.ADMIN).filter(pk=project.pk)
        return (
            redirect("reviews:people", project.pk) if still.exists() else redirect("reviews:home")
        )
    context = _context(project) | {"add_form": add_form, "refusal": refusal, "made": made}
    return render(request, "reviews/people.html", context, status=422 if refusal else 200)


def _add(request: HttpRequest, project: Project, form: AddMemberForm) -> NewAccount | None:
    said = form.cleaned_data
    membership, password = add_member(project, said["username"], said["role"], request.user)
    if password:
        return NewAccount(membership.user.get_username(), password)
    messages.success(request, f"{membership.user} is a member now.")
    return None


def _context(project: Project) -> dict[str, Any]:
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
    return {
        "project": project,
        "members": project.memberships.select_related("user").order_by("user__username"),
        "roles": Role.choices,
        "add_form": AddMemberForm(),
        "people": persons,
        "activity": activity,
        "audits": audits.select_related("dataset").order_by("-pk")[:20],
    }


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
