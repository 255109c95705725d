"""Passwords that people type: every try is counted before it is hashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from audit.client_address import read_address
from audit.services.log_in import (
    WINDOW,
    Bucket,
    TooManyAttemptsError,
    confirmation_buckets,
    give_back,
    list_buckets,
    take_attempt,
)

THROTTLED = "throttled"
TOO_MANY = "Too many attempts. Nothing was checked; try again in a quarter of an hour."
TOO_MANY_AT_ONCE = (
    "Many passwords are being tried just now. Nothing was checked; try again in some seconds."
)


class LogInForm(AuthenticationForm):
    """A name and a password."""

    buckets: Sequence[Bucket] = ()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.label_suffix = ""

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password or self.request is None:
            return super().clean()
        if len(name) > (self.username_field.max_length or 0):
            # No account has it. Folded, it could grow manifold, and take seconds.
            raise self.get_invalid_login_error()
        browser = self.request.COOKIES.get(settings.KNOWN_BROWSER_COOKIE, "")
        self.buckets = list_buckets(name, read_address(self.request), browser)
        taken = _count(self.buckets)
        cleaned = super().clean()
        give_back(taken)
        return cleaned


class ConfirmForm(forms.Form):
    """The password of the person who is logged in."""

    password = forms.CharField(
        strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data, label_suffix="")
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        return check_own(self.user, password, lambda: self.user.check_password(password))


class PasswordForm(PasswordChangeForm):
    """The old password, and the new one twice."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.label_suffix = ""

    def clean_old_password(self) -> str:
        password = self.cleaned_data["old_password"]
        return check_own(self.user, password, super().clean_old_password)


def check_own(user: User, password: str, check: Callable[[], Any]) -> str:
    """Return the password of somebody who is logged in, once `check` finds it right."""
    buckets = confirmation_buckets(user.pk)
    taken = _count(buckets)
    if not check():
        raise ValidationError("This is not your password.", code="wrong")
    give_back(taken)
    return password


def _count(buckets: Sequence[Bucket]) -> Sequence[Bucket]:
    try:
        return take_attempt(buckets)
    except TooManyAttemptsError as error:
        said = TOO_MANY if error.window == WINDOW else TOO_MANY_AT_ONCE
        wait = {"seconds": int(error.window.total_seconds())}
        raise ValidationError(said, code=THROTTLED, params=wait) from error


def throttled_for(form: forms.BaseForm) -> int:
    """Return the seconds a form was refused for after too many attempts, unhashed; else 0."""
    for errors in form.errors.as_data().values():
        for error in errors:
            if error.code == THROTTLED and error.params:
                return int(error.params["seconds"])
    return 0
