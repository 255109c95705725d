"""Log in, log out, change the password, confirm that it's still you."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from audit.account_forms import ConfirmForm, LogInForm, PasswordForm, throttled_for
from audit.client_address import read_address
from audit.models import Act
from audit.services.log import write_log
from audit.services.log_in import (
    BROWSER_DAYS,
    fold_name,
    is_any_full,
    read_browser,
    write_browser,
)
from audit.views.confirmation import local_address, note_confirmed

FORM_METHODS = ("get", "head", "post")


class LogInView(auth_views.LoginView):
    """The one page for strangers."""

    template_name = "login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True
    http_method_names = FORM_METHODS

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        user = form.get_user()
        write_log(Act.LOGGED_IN, person=user, address=read_address(self.request))
        known = self.request.COOKIES.get(settings.KNOWN_BROWSER_COOKIE, "")
        if not read_browser(known, fold_name(user.username)):
            response.set_cookie(
                settings.KNOWN_BROWSER_COOKIE,
                write_browser(user.username),
                max_age=BROWSER_DAYS * 86_400,
                path=str(reverse_lazy("login")),
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        if seconds := throttled_for(form):
            return refuse(response, seconds)
        if isinstance(form, LogInForm) and form.buckets:
            # A name that no account has may be a password in the wrong field: it isn't kept.
            person = User.objects.filter(username=form.cleaned_data["username"]).first()
            address = read_address(self.request)
            write_log(Act.LOG_IN_FAILED, person=person, address=address)
            if is_any_full(form.buckets):
                write_log(Act.LOG_IN_THROTTLED, person=person, address=address)
        return response


class LogOutView(auth_views.LogoutView):
    """Ends the log-in on the server, not only in the browser."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            write_log(Act.LOGGED_OUT, person=request.user, address=read_address(request))
        return super().post(request, *args, **kwargs)


class PasswordView(auth_views.PasswordChangeView):
    """Changes the own password; log-ins elsewhere end."""

    template_name = "password.html"
    form_class = PasswordForm
    success_url = reverse_lazy(settings.LOGIN_REDIRECT_URL)
    http_method_names = FORM_METHODS

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_valid(form)
        note_confirmed(self.request)
        address = read_address(self.request)
        write_log(Act.PASSWORD_CHANGED, person=self.request.user, address=address)
        said = (
            "Your password is changed. Wherever else you were logged in, you no longer are; your "
            "API tokens stay until you revoke them."
        )
        messages.success(self.request, said)
        return response

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        seconds = throttled_for(form)
        return refuse(response, seconds) if seconds else response


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@never_cache
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask for the own password once more, then lead back to the page it was asked for."""
    person, address = cast("User", request.user), read_address(request)
    back = local_address(request, request.POST.get("next") or request.GET.get("next", ""))
    form = ConfirmForm(request.POST if request.method == "POST" else None, user=person)
    if form.is_valid():
        note_confirmed(request)
        write_log(Act.CONFIRMED, person=person, address=address)
        return redirect(back)
    response = render(request, "confirm.html", {"form": form, "next": back})
    if not form.is_bound:
        return response
    if seconds := throttled_for(form):
        return refuse(response, seconds)
    if form["password"].value():
        write_log(Act.LOG_IN_FAILED, "confirmation", person=person, address=address)
    response.status_code = 422
    return response


def refuse(response: HttpResponse, seconds: int) -> HttpResponse:
    """Say that it is too often, and when to come again."""
    response.status_code = 429
    response["Retry-After"] = str(seconds)
    return response
