"""Members: only an admin of the project changes them, freshly confirmed, and the last one stays."""

from __future__ import annotations

import re
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from audit.models import LogEntry, Membership, Project, Role
from audit.services.members import (
    MembershipRefusedError,
    add_member,
    change_role,
    close_account,
)
from reviews.models import ReviewSlot
from reviews.services.leases import claim_slots
from reviews.services.members import remove_member
from reviews.services.releases import build_release, order_release
from tests.factories import PASSWORD, make_dataset, make_member, make_project, make_ready_audit
from tests.factories import make_sample as sample_of
from tests.reviews.test_releases import make_judged_audit
from tests.servers import in_threads

pytestmark = pytest.mark.django_db


def log_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def members_of(project: Project) -> dict[str, int]:
    return dict(project.memberships.values_list("user__username", "role"))


def act(client: Client, project: Project, **said: object) -> int:
    return client.post(f"/projects/{project.pk}/members/", said).status_code


def number_of(project: Project, person: User) -> int:
    return Membership.objects.get(project=project, user=person).pk


def test_an_admin_adds_changes_and_removes_and_the_log_says_so():
    project = make_project()
    admin = make_member(project, Role.ADMIN, "ada")
    client = log_in(admin)
    page = client.post(
        f"/projects/{project.pk}/members/", {"act": "add", "username": "ben", "role": "1"}
    )
    password = re.search(r"<code>(\S+)</code>", page.content.decode())[1]
    assert "no-store" in page["Cache-Control"]
    assert Client().login(username="ben", password=password)
    ben = User.objects.get(username="ben")
    assert act(client, project, act="role", member=number_of(project, ben), role="2") == 302
    assert members_of(project) == {"ada": 3, "ben": 2}
    assert act(client, project, act="remove", member=number_of(project, ben)) == 302
    assert members_of(project) == {"ada": 3}
    assert act(client, project, act="add", username="ben", role="3") == 302
    rows = LogEntry.objects.order_by("number").values_list("act", "subject", "person")
    assert list(rows) == [
        ("account_made", "ben", "ada"),
        ("member_added", "ben", "ada"),
        ("role_changed", "ben", "ada"),
        ("member_removed", "ben", "ada"),
        ("member_added", "ben", "ada"),
    ]
    assert password not in str(list(LogEntry.objects.values()))
    shown = client.get(f"/projects/{project.pk}/log/").content.decode()
    assert "changed a role" in shown
    assert "before: <bdi>annotator</bdi>" in shown


def test_the_log_tells_every_change_of_members_to_the_project_with_its_facts():
    project = make_project()
    admin = make_member(project, Role.ADMIN, "ada")
    membership, password = add_member(project, "ben", Role.ANNOTATOR, admin)
    assert len(password) == 16
    change_role(membership, Role.MAINTAINER, admin)
    remove_member(membership, admin)
    close_account(membership.user, admin)
    facts = ("act", "subject", "person_number", "project", "detail")
    here, ben = project.slug, ("ben", admin.pk)
    assert list(LogEntry.objects.order_by("number").values_list(*facts)) == [
        ("account_made", *ben, "", {}),
        ("member_added", *ben, here, {"role": "annotator"}),
        ("role_changed", *ben, here, {"before": "annotator", "after": "maintainer"}),
        ("member_removed", *ben, here, {"role": "maintainer"}),
        ("account_closed", *ben, "", {}),
    ]


def test_nobody_is_a_member_twice_or_let_go_twice():
    project = make_project()
    membership, _ = add_member(project, "ben", Role.ANNOTATOR)
    with pytest.raises(MembershipRefusedError, match="ben is a member already"):
        add_member(project, "ben", Role.ADMIN)
    assert change_role(membership, Role.ANNOTATOR) is False
    assert not LogEntry.objects.filter(act="role_changed").exists()
    remove_member(membership)
    membership.pk = 10**6
    with pytest.raises(MembershipRefusedError, match="ben is no member any more"):
        remove_member(membership)


@pytest.mark.row("A08")
@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.MAINTAINER])
def test_who_is_no_admin_of_the_project_changes_nobody_not_even_themselves(role):
    project, other = make_project(), make_project()
    make_member(project, Role.ADMIN)
    person = make_member(project, role)
    Membership.objects.create(project=other, user=person, role=Role.ADMIN)
    client = log_in(person)
    before = list(Membership.objects.order_by("pk").values_list())
    number = number_of(project, person)
    for said in (
        {"act": "role", "member": number, "role": "3"},
        {"act": "remove", "member": number},
        {"act": "add", "username": "mallory", "role": "3"},
    ):
        assert act(client, project, **said) == 404
        # Nor by way of a project that is theirs.
        if "member" in said:
            assert act(client, other, **said) == 422
    assert list(Membership.objects.order_by("pk").values_list()) == before
    assert not User.objects.filter(username="mallory").exists()


@pytest.mark.row("A08")
@pytest.mark.parametrize(
    "said",
    [
        {"act": "role", "role": "4"},
        {"act": "role", "role": "3", "is_staff": "1", "is_superuser": "1"},
        {"act": "role", "role": ""},
        {"act": "promote"},
        {},
        {"act": "add", "username": "x" * 151, "role": "1"},
        {"act": "add", "username": "a b", "role": "1"},
        {"act": "add", "username": "ADA", "role": "1"},
        {"act": "add", "username": "\uff41da", "role": "1"},
        {"act": "add", "username": "a\u0000da", "role": "1"},
        {"act": "add", "username": "", "role": "1"},
    ],
)
def test_what_cannot_be_said_is_refused_and_nobody_becomes_staff(said):
    project = make_project()
    admin, person = make_member(project, Role.ADMIN, "ada"), make_member(project)
    status = act(log_in(admin), project, member=number_of(project, person), **said)
    assert status in {302, 422}
    if "is_staff" in said:
        assert members_of(project)[person.username] == Role.ADMIN
    else:
        assert status == 422
        assert len(members_of(project)) == 2
    assert not User.objects.filter(is_staff=True).exists()
    assert not User.objects.filter(is_superuser=True).exists()


@pytest.mark.row("A09")
def test_the_last_admin_neither_steps_down_nor_leaves_nor_is_closed():
    project = make_project()
    admin = make_member(project, Role.ADMIN, "ada")
    make_member(project)
    client, number = log_in(admin), number_of(project, admin)
    assert act(client, project, act="role", member=number, role="2") == 422
    assert act(client, project, act="remove", member=number) == 422
    with pytest.raises(CommandError, match="last admin"):
        call_command("remove_member", "ada", stdout=StringIO())
    with pytest.raises(CommandError, match="last admin"):
        call_command("remove_member", "ada", "--project", project.slug, stdout=StringIO())
    with pytest.raises(CommandError, match="last admin"):
        call_command(
            "add_member", "ada", "--project", project.slug, "--role", "annotator", stdout=StringIO()
        )
    # An admin whose account is closed is none to leave the project to.
    second = make_member(project, Role.ADMIN)
    User.objects.filter(pk=second.pk).update(is_active=False)
    assert act(client, project, act="remove", member=number) == 422
    User.objects.filter(pk=second.pk).update(is_active=True)
    given_up = client.post(
        f"/projects/{project.pk}/members/", {"act": "role", "member": number, "role": "1"}
    )
    assert given_up.url == "/"  # the page of the members is no longer theirs
    assert members_of(project)["ada"] == Role.ANNOTATOR


@pytest.mark.parametrize("said", [{"act": "role", "role": "2"}, {"act": "remove"}])
def test_who_was_removed_in_another_window_is_said_to_be_gone(said):
    project = make_project()
    client = log_in(make_member(project, Role.ADMIN))
    gone = number_of(project, make_member(project))
    assert act(client, project, act="remove", member=gone) == 302
    page = client.post(f"/projects/{project.pk}/members/", {"member": gone, **said})
    assert page.status_code == 422
    assert "Nothing is changed: that person is no member any more." in page.content.decode()


def test_a_role_is_changed_only_by_who_gave_the_password_a_short_while_ago():
    project = make_project()
    admin, person = make_member(project, Role.ADMIN), make_member(project)
    client, number = log_in(admin), number_of(project, person)
    session = client.session
    session["confirmed_at"] -= 16 * 60
    session.save()
    address, people = f"/projects/{project.pk}/members/", f"/projects/{project.pk}/people/"
    said = {"act": "role", "member": number, "role": "3"}
    asked = client.post(address, said, HTTP_REFERER=f"http://testserver{people}")
    assert asked.url == f"/confirm/?next=%2Fprojects%2F{project.pk}%2Fpeople%2F"
    elsewhere = client.post(address, said, HTTP_REFERER="https://evil.example/people/")
    assert elsewhere.url == "/confirm/?next=%2F"
    by_htmx = client.post(address, said, HTTP_HX_REQUEST="true")
    assert (by_htmx.status_code, by_htmx["HX-Redirect"]) == (204, "/confirm/?next=%2F")
    assert members_of(project)[person.username] == Role.ANNOTATOR
    assert "Nothing has been done yet" in client.get(asked.url).content.decode()
    key = client.session.session_key
    assert client.post("/confirm/", {"password": "guess", "next": people}).status_code == 422
    assert client.post("/confirm/", {"password": PASSWORD, "next": people}).url == people
    assert client.session.session_key != key
    assert client.post(address, said).status_code == 302
    assert members_of(project)[person.username] == Role.ADMIN


@pytest.mark.row("A27")
@pytest.mark.parametrize("leave", ["removed", "closed"])
def test_who_is_let_go_is_refused_at_the_next_request_and_holds_nothing(leave):
    audit = make_ready_audit()
    project = audit.dataset.project
    admin, person = make_member(project, Role.ADMIN), make_member(project, name="ben")
    sample = sample_of(audit, 6)
    client = log_in(person)
    item = audit.dataset.items.first()
    held = client.post(f"/audits/{audit.pk}/review/lease/", {}, "application/json").json()["items"]
    addresses = [f"/audits/{audit.pk}/review/", f"/items/{item.pk}/image/"]
    assert [client.get(address).status_code for address in addresses] == [200, 200]
    assert sample.slots.filter(annotator=person).count() == len(held) > 0
    if leave == "removed":
        assert act(log_in(admin), project, act="remove", member=number_of(project, person)) == 302
        assert not sample.slots.filter(annotator=person).exists()
    else:
        call_command("remove_member", "ben", stdout=StringIO())
    refused = {"removed": 404, "closed": 302}[leave]
    assert [client.get(address).status_code for address in addresses] == [refused, refused]
    said = {"key": str(uuid4()), "ticket": held[0]["ticket"], "verdict": "label_correct",
            "mode": "quick", "milliseconds": 900}  # fmt: skip
    late = client.post(f"/audits/{audit.pk}/review/judgments/", said, "application/json")
    assert late.status_code == refused
    assert sample.slots.filter(state=ReviewSlot.State.JUDGED).count() == 0


@pytest.mark.row("A27")
def test_a_lowered_role_holds_at_once_and_so_do_links_to_releases():
    audit = make_judged_audit()
    project = audit.dataset.project
    admin, person = make_member(project, Role.ADMIN), make_member(project, Role.MAINTAINER)
    release = order_release(audit, "lenient", person)
    assert build_release(release.pk)
    client = log_in(person)
    links = [f"/releases/{release.pk}.tar", f"/releases/{release.pk}/manifest.json"]
    assert [client.get(link).status_code for link in links] == [200, 200]
    assert act(log_in(admin), project, act="role", member=number_of(project, person), role=1) == 302
    assert [client.get(link).status_code for link in links] == [404, 404]
    assert client.get(f"/audits/{audit.pk}/review/").status_code == 200


def test_the_command_removes_from_one_project_and_says_how_much_was_opened(capsys):
    audit = make_ready_audit()
    project = audit.dataset.project
    make_member(project, Role.ADMIN)
    person = make_member(project, name="ben")
    claim_slots(sample_of(audit, 4), person)
    call_command("remove_member", "ben", "--project", project.slug)
    assert capsys.readouterr().out == f"ben: no member of {project.slug} any more, 4 items opened\n"
    for arguments in (["ben", "--project", project.slug], ["nobody"]):
        with pytest.raises(CommandError):
            call_command("remove_member", *arguments)
    call_command("remove_member", "ben")
    assert not User.objects.get(username="ben").is_active
    with pytest.raises(MembershipRefusedError, match="closed"):
        add_member(project, "ben", Role.ANNOTATOR)


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A09", "A49")
def test_admins_who_remove_each_other_at_one_moment_leave_one():
    project = make_project()
    admins = [make_member(project, Role.ADMIN) for _ in range(8)]
    acts = [remove_member, lambda row: change_role(row, Role.ANNOTATOR), close]

    def leave(number: int) -> bool:
        row = Membership.objects.get(project=project, user=admins[number])
        try:
            acts[number % 3](row)
        except MembershipRefusedError:
            return False
        return True

    assert sum(in_threads(leave, range(8))) == 7
    left = project.memberships.filter(role=Role.ADMIN, user__is_active=True)
    assert left.count() == 1


def close(row: Membership) -> None:
    close_account(row.user)


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A49")
def test_one_person_added_fifty_times_at_one_moment_is_one_account_and_one_member():
    project = make_project()
    make_member(project, Role.ADMIN)

    def add(_: int) -> bool:
        try:
            add_member(project, "ben", Role.ADMIN)
        except MembershipRefusedError:
            return False
        return True

    assert sum(in_threads(add, range(50))) == 1
    assert User.objects.filter(username="ben").count() == 1
    assert project.memberships.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.row("A49")
def test_fifty_claims_of_one_person_at_one_moment_get_ten_items():
    audit = make_ready_audit(make_dataset(make_project(), n_items=64))
    sample = sample_of(audit, 64)
    person = make_member(audit.dataset.project)
    in_threads(lambda _: claim_slots(sample, person), range(50))
    assert sample.slots.filter(annotator=person).count() == 10
