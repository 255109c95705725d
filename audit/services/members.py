"""Who is a member of a project, and as what. No project is left without an admin."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db import transaction

from audit.models import Act, Membership, Project, Role
from audit.services.log import write_log
from audit.services.log_in import fold_name

Person = AbstractBaseUser | AnonymousUser | None


class MembershipRefusedError(ValueError):
    """The membership stays as it is; the message says why."""


@transaction.atomic
def add_member(
    project: Project, name: str, role: Role, person: Person = None
) -> tuple[Membership, str]:
    """Make somebody a member; return the membership and, of a new account, its password."""
    _lock(project)
    user, password = _find_or_make(name, person)
    if Membership.objects.filter(project=project, user=user).exists():
        raise MembershipRefusedError(f"{user} is a member already")
    membership = Membership.objects.create(project=project, user=user, role=role)
    write_log(Act.MEMBER_ADDED, str(user), person=person, project=project, role=role.label)
    return membership, password


@transaction.atomic
def change_role(membership: Membership, role: Role, person: Person = None) -> bool:
    """Give a member another role; False if it is theirs already."""
    current = _lock_member(membership)
    if current.role == role:
        return False
    if role < Role.ADMIN:
        _check_not_last(current)
    before = current.get_role_display()
    Membership.objects.filter(pk=current.pk).update(role=role)
    user, project = current.user, current.project
    write_log(
        Act.ROLE_CHANGED, str(user), person=person, project=project, before=before, after=role.label
    )
    return True


@transaction.atomic
def end_membership(membership: Membership, person: Person = None) -> None:
    """Let a member go; what they judged stays theirs."""
    current = _lock_member(membership)
    _check_not_last(current)
    Membership.objects.filter(pk=current.pk).delete()
    user, project = current.user, current.project
    role = current.get_role_display()
    write_log(Act.MEMBER_REMOVED, str(user), person=person, project=project, role=role)


@transaction.atomic
def close_account(user: User, person: Person = None) -> None:
    """Let nobody log in as this person any more; whoever is logged in is out at once."""
    memberships = Membership.objects.filter(user=user, role=Role.ADMIN).order_by("project")
    for membership in memberships.select_related("project"):
        _lock(membership.project)
        _check_not_last(membership)
    if User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
        write_log(Act.ACCOUNT_CLOSED, str(user), person=person)


def _find_or_make(name: str, person: Person) -> tuple[User, str]:
    user = User.objects.filter(username=User.normalize_username(name)).first()
    if user is not None:
        if not user.is_active:
            raise MembershipRefusedError(f"the account {user} is closed")
        return user, ""
    user = User(username=User.normalize_username(name))
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise MembershipRefusedError(" ".join(error.messages)) from error
    # Two names that differ by case alone would be taken for one person's.
    folded = fold_name(name)
    twin = next((each for each in _names() if fold_name(each) == folded), None)
    if twin is not None:
        raise MembershipRefusedError(f"there is an account {twin}; names must differ by more")
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(force_insert=True)
    write_log(Act.ACCOUNT_MADE, user.username, person=person)
    return user, password


def _names() -> list[str]:
    return list(User.objects.values_list("username", flat=True))


def _lock(project: Project) -> None:
    """Let changes of one project's members take turns, until the commit."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _lock_member(membership: Membership) -> Membership:
    _lock(membership.project)
    current = Membership.objects.select_related("user", "project").filter(pk=membership.pk).first()
    if current is None:
        raise MembershipRefusedError(f"{membership.user} is no member any more")
    return current


def _check_not_last(membership: Membership) -> None:
    others = Membership.objects.filter(
        project=membership.project, role=Role.ADMIN, user__is_active=True
    ).exclude(pk=membership.pk)
    if membership.role == Role.ADMIN and not others.exists():
        raise MembershipRefusedError(
            f"{membership.user} is the last admin of {membership.project}: make another one first"
        )
