"""Requests with a key of their sender's: sent again, even at once, they make one thing."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit.models import SentRequest


class AlreadySentError(RuntimeError):
    """The request was done meanwhile; what was begun for it once more has to be rolled back."""


class OtherRequestError(ValueError):
    """The key was sent with another request before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Whose request it is, its key, and a hash over where it was sent and its body."""

    user: User
    key: UUID
    sha256: str


def find_made(sent: Sent) -> int | None:
    """Return the number of what the request made already, None if it is new."""
    row = SentRequest.objects.filter(user=sent.user, key=sent.key).first()
    if row is not None and row.sha256 != sent.sha256:
        raise OtherRequestError("this key was sent with another request before")
    return row.made if row else None


def keep_sent(sent: Sent | None, made: int) -> None:
    """Note what a request made, in the transaction that makes it; of two at once one succeeds."""
    if sent is None:
        return
    try:
        with transaction.atomic():
            SentRequest.objects.create(user=sent.user, key=sent.key, sha256=sent.sha256, made=made)
    except IntegrityError as error:
        raise AlreadySentError(f"{sent.key} was sent before") from error
