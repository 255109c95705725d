"""What somebody fills in to get an API token."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User

from audit.account_forms import check_own
from audit.models import Project, Scope
from audit.services.api_tokens import MOST_DAYS, USUAL_DAYS


class TokenForm(forms.Form):
    """A name, what the token is good for and how long, and the password once more."""

    name = forms.CharField(label="name", max_length=80, help_text="what it is for")
    scopes = forms.MultipleChoiceField(
        label="good for",
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.READ.value],
    )
    project = forms.ModelChoiceField(
        Project.objects.none(), label="project", required=False, empty_label="all of mine"
    )
    days = forms.IntegerField(
        label="days until it expires", min_value=1, max_value=MOST_DAYS, initial=USUAL_DAYS
    )
    password = forms.CharField(
        label="your password",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="a token opens what you may open, so we ask again",
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data, auto_id="token-%s", label_suffix="")
        self.user = user
        projects = Project.objects.open_to(user).order_by("name")
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]

    def clean_password(self) -> str:
        """Refuse somebody who only sits at an open browser."""
        password: str = self.cleaned_data["password"]
        return check_own(self.user, password, lambda: self.user.check_password(password))
