"""The People page: who judged how much and how fast, for admins only."""

from __future__ import annotations

import csv
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Membership, Role
from reviews.models import SampledItem
from reviews.people import describe_people
from reviews.services.adjudication import Ruling, adjudicate, look
from reviews.services.judgments import withdraw
from tests.factories import make_dataset, make_member, make_project, make_ready_audit, make_sample
from tests.reviews.situations import judge

pytestmark = pytest.mark.django_db


def make_busy_project():
    audit = make_ready_audit()
    project = audit.dataset.project
    sample = make_sample(audit, 6, votes_per_item=2)
    ada, ben = (make_member(project, name=name) for name in ("ada", "ben"))
    first = judge(sample, dict.fromkeys(range(4), "label_correct"), ada)
    judge(sample, {0: "wrong_label"}, ben)
    withdraw(ada, first[0], uuid4())
    return project


def log_in(project, role: Role) -> Client:
    client = Client()
    client.force_login(make_member(project, role, name=f"a {role.label}"))
    return client


def test_everybody_s_verdicts_are_counted_once_and_withdrawn_ones_apart():
    project = make_busy_project()
    Membership.objects.filter(user__username="ben").delete()
    found = {each.name: each for each in describe_people(project)}
    assert list(found) == ["ada", "ben"]
    ada, ben = found["ada"], found["ben"]
    assert (ada.pace.n, ada.n_undone, ada.pace.median, ada.role) == (4, 1, 1.5, "annotator")
    assert (ben.pace.n, ben.role) == (1, "")
    assert sum(ada.days.values()) == 4


def test_who_left_and_has_only_adjudicated_is_named_and_other_projects_are_not_mixed_in():
    project = make_busy_project()
    elsewhere = make_ready_audit(make_dataset(make_project("Elsewhere")))
    ada = project.memberships.get(user__username="ada").user
    Membership.objects.create(project=elsewhere.dataset.project, user=ada, role=Role.ANNOTATOR)
    judge(make_sample(elsewhere, 6), dict.fromkeys(range(3), "unsure"), ada)
    row = SampledItem.objects.filter(sample__audit__dataset__project=project).first()
    eve = make_member(project, Role.MAINTAINER, name="eve")
    adjudicate(eve, row, Ruling("label_correct", "a zero"), look(row))
    Membership.objects.filter(user=eve).delete()
    found = {each.name: each for each in describe_people(project)}
    assert found["ada"].pace.n == 4
    assert (found["eve"].n_adjudicated, found["eve"].role, found["eve"].pace.n) == (1, "", 0)


def test_an_admin_sees_members_and_those_who_left_and_gets_a_table():
    project = make_busy_project()
    Membership.objects.filter(user__username="ben").delete()
    client = log_in(project, Role.ADMIN)
    page = client.get(reverse("reviews:people", args=[project.pk])).content.decode()
    for words in ("3 people", "no member any more", "1.5 s", "never", "activity-data"):
        assert words in page
    answer = client.get(reverse("reviews:people_csv", args=[project.pk])).content.decode()
    rows = list(csv.reader(answer.splitlines()))
    assert [row[0] for row in rows[1:]] == ["a admin", "ada", "ben"]
    assert rows[2][2:5] == ["4", "1", "0"]
    assert page.count(reverse("reviews:agreement", args=[project.datasets.get().audits.get().pk]))
    assert reverse("reviews:people", args=[project.pk]) in client.get("/").content.decode()


def test_nobody_else_does():
    project = make_busy_project()
    addresses = [reverse(f"reviews:{name}", args=[project.pk]) for name in ("people", "people_csv")]
    for client in (
        log_in(project, Role.ANNOTATOR),
        log_in(project, Role.MAINTAINER),
        log_in(make_project("Elsewhere"), Role.ADMIN),
    ):
        assert [client.get(address).status_code for address in addresses] == [404, 404]
        client.logout()


def test_a_project_in_which_nobody_judged_shows_its_members():
    project = make_project()
    page = log_in(project, Role.ADMIN).get(reverse("reviews:people", args=[project.pk]))
    assert "1 person" in page.content.decode()
    assert "activity-data" not in page.content.decode()
