"""What an admin says about the members of a project."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import UsernameField

from audit.models import Membership, Project, Role


class AddMemberForm(forms.Form):
    """A name, of an account there is or of a new one, and a role."""

    username = UsernameField(
        label="name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    role = forms.TypedChoiceField(
        label="role", choices=Role.choices, coerce=lambda raw: Role(int(raw))
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="new-member-%s", label_suffix="")


class MemberForm(forms.Form):
    """One member of this project."""

    member = forms.ModelChoiceField(Membership.objects.none())

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data)
        members = project.memberships.select_related("user", "project")
        self.fields["member"].queryset = members  # type: ignore[attr-defined]


class RoleForm(MemberForm):
    """One member of this project, and the role they are to have."""

    role = forms.TypedChoiceField(choices=Role.choices, coerce=lambda raw: Role(int(raw)))
