"""An installation's first account comes to be by `add_member`, and so does its first project."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from audit.models import Membership, Project, Role
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def add(name: str, project: str) -> None:
    call_command("add_member", name, project=project, role="admin")


def test_a_fresh_installation_gets_its_first_project_with_its_first_admin(capsys):
    add("ada", "default")
    membership = Membership.objects.get()
    assert (membership.user.username, membership.role) == ("ada", Role.ADMIN)
    assert membership.project.slug == "default"
    password = capsys.readouterr().out.rpartition("password ")[2].strip()
    assert membership.user.check_password(password)


def test_a_project_that_is_not_known_is_refused_once_there_are_any():
    known = make_project()
    with pytest.raises(CommandError, match=f"no project named 'other'; known: {known.slug}"):
        add("ada", "other")
    assert not Membership.objects.exists()


@pytest.mark.parametrize("slug", ["two words", "", "a/b"])
def test_a_name_that_no_address_could_hold_founds_nothing(slug):
    with pytest.raises(CommandError, match="project"):
        add("ada", slug)
    assert not Project.objects.exists()
