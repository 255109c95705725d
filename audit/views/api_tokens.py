"""A person's own API tokens: made here, told once, listed and revoked."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from audit.models import ApiToken
from audit.services.api_tokens import TokenRefusedError, make_token, revoke_token
from audit.token_forms import TokenForm

SHOWN = 50


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@never_cache
def api_tokens(request: HttpRequest) -> HttpResponse:
    """List the person's tokens; a valid POST makes one and shows its secret, this once."""
    user = cast("User", request.user)
    if request.method != "POST":
        return _show(request, TokenForm(user=user))
    form = TokenForm(request.POST, user=user)
    if not form.is_valid():
        return _show(request, form, status=422)
    said = form.cleaned_data
    try:
        token, secret = make_token(
            user, said["name"], said["scopes"], project=said["project"], days=said["days"]
        )
    except TokenRefusedError as refusal:
        form.add_error(None, str(refusal))
        return _show(request, form, status=422)
    # No redirect: the secret would have to wait somewhere for the next request.
    return _show(request, TokenForm(user=user), made=token, secret=secret)


@require_POST
def revoke_api_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Let one of the person's own tokens open nothing any more."""
    token = get_object_or_404(ApiToken.objects.open_to(request.user), pk=pk)
    if revoke_token(token):
        messages.success(request, f"The token {token.name} opens nothing any more.")
    else:
        messages.info(request, f"The token {token.name} was revoked before.")
    return redirect("audit:api_tokens")


def _show(
    request: HttpRequest,
    form: TokenForm,
    *,
    made: ApiToken | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    tokens = ApiToken.objects.open_to(request.user).select_related("project")
    context = {"form": form, "tokens": tokens[:SHOWN], "made": made, "secret": secret}
    return render(request, "audit/api_tokens.html", context, status=status)
