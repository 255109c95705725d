"""Making, finding and revoking API tokens. A secret leaves this module once, when it is made."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from audit.models import Act, ApiToken, Project, Scope
from audit.services.log import write_log

PREFIX = "laudit_"
SHOWN = len(PREFIX) + 6
SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
USUAL_DAYS, MOST_DAYS = 90, 366
MOST_ACTIVE = 20
NOTED_EVERY = timedelta(minutes=1)


class TokenRefusedError(ValueError):
    """The token can't be made; the message says why."""


def make_token(
    user: User,
    name: str,
    scopes: Collection[str],
    *,
    project: Project | None = None,
    days: int = USUAL_DAYS,
) -> tuple[ApiToken, str]:
    """Store a new token and return it with its secret, which nobody can tell ever again."""
    chosen = [scope.value for scope in Scope if scope in scopes]
    if not chosen or len(chosen) != len(set(scopes)):
        known = ", ".join(Scope.values)
        raise TokenRefusedError(f"a token needs scopes, each one of: {known}")
    if not 1 <= days <= MOST_DAYS:
        raise TokenRefusedError(f"a token lasts from 1 to {MOST_DAYS} days, got {days}")
    if not name.strip():
        raise TokenRefusedError("a token needs a name that says what it is for")
    if project is not None and not Project.objects.open_to(user).filter(pk=project.pk).exists():
        raise TokenRefusedError(f"{user} is no member of {project.slug}")
    secret = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        # Two windows take turns, so that together they don't pass the limit.
        User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        if ApiToken.objects.filter(user=user).active().count() >= MOST_ACTIVE:
            raise TokenRefusedError(
                f"{MOST_ACTIVE} tokens are the most that one person has: revoke one first"
            )
        token = ApiToken.objects.create(
            user=user,
            project=project,
            name=name.strip(),
            scopes=chosen,
            prefix=secret[:SHOWN],
            sha256=hash_secret(secret),
            expires_at=timezone.now() + timedelta(days=days),
        )
        _log(Act.TOKEN_MADE, token)
    return token, secret


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret: random and long as it is, no hash of it can be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find_token(secret: str) -> ApiToken | None:
    """Return the active token of an active person with this secret, and note that it was used."""
    if SECRET.fullmatch(secret) is None:
        return None
    tokens = ApiToken.objects.active().filter(user__is_active=True)
    token = tokens.select_related("user").filter(sha256=hash_secret(secret)).first()
    if token is None:
        return None
    # One write a minute at most, however many requests there are.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=Now() - NOTED_EVERY)
    is_stale = token.last_used_at is None or token.last_used_at < timezone.now() - NOTED_EVERY
    if is_stale:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())
    return token


@transaction.atomic
def revoke_token(token: ApiToken) -> bool:
    """Let a token open nothing from the next request on; False if it was revoked before."""
    standing = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    if standing.update(revoked_at=Now()) != 1:
        return False
    _log(Act.TOKEN_REVOKED, token)
    return True


def _log(act: Act, token: ApiToken) -> None:
    facts = {"prefix": token.prefix, "scopes": token.scopes}
    write_log(act, f"token {token.pk}", person=token.user, project=token.project, **facts)
