"""Log-ins are counted before a password is hashed, so that guessing is slow and floods are cheap.

An attempt is taken from three buckets, each of a quarter of an hour: the account's name from this
address, the name from anywhere, the address whatever the name. A browser in which the person has
logged in before shows a signed cookie and has a bucket of its own: strangers who guess can't keep
the person out. Refused attempts count for nothing, so a window ends when it ends. Successes are
given back.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.core import signing
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from audit.models import LogInBucket

WINDOW = timedelta(minutes=15)
# Attempts in a window. One address may be a whole office; names are tried by botnets too.
MOST_PER_NAME_AND_ADDRESS, MOST_PER_NAME, MOST_PER_ADDRESS, MOST_PER_BROWSER = 10, 100, 100, 10
MOST_PER_CONFIRMATION = 10
BROWSER_DAYS = 180
_SALT = "audit.known-browser"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What attempts are counted by, hashed: names may be passwords typed into the wrong field."""

    key: str
    most: int


class TooManyAttemptsError(Exception):
    """Nothing was tried: a bucket is full."""


def fold_name(name: str) -> str:
    """Return the name as attempts count it: case, width and invisible signs make no other one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in folded if unicodedata.category(sign) not in {"Cf", "Cc"})


def list_buckets(name: str, address: str, browser: str = "") -> list[Bucket]:
    """Return what an attempt is taken from. `browser` is the cookie of one known, if it has one."""
    folded = fold_name(name)
    if known := read_browser(browser, folded):
        return [_bucket("browser", known, folded, most=MOST_PER_BROWSER)]
    return [
        _bucket("name and address", folded, address, most=MOST_PER_NAME_AND_ADDRESS),
        _bucket("name", folded, most=MOST_PER_NAME),
        _bucket("address", address, most=MOST_PER_ADDRESS),
    ]


def take_attempt(buckets: Sequence[Bucket]) -> None:
    """Count one attempt in each bucket at once, or raise and count it in none.

    A flood meets one question to the database and no write.
    """
    running = Q(since__gt=Now() - WINDOW)
    is_full = Q()
    for bucket in buckets:
        is_full |= Q(key=bucket.key, n_used__gte=bucket.most)
    if LogInBucket.objects.filter(running & is_full).exists():
        raise TooManyAttemptsError
    with transaction.atomic():
        _add_missing(buckets)
        # In one order, so that two attempts at one moment never wait for each other.
        for bucket in sorted(buckets, key=lambda each: each.key):
            if not _take(bucket):
                transaction.set_rollback(True)
                break
        else:
            return
    raise TooManyAttemptsError


def is_any_full(buckets: Sequence[Bucket]) -> bool:
    """Whether the attempts of this window are used up."""
    counts = dict(
        LogInBucket.objects.filter(pk__in=[b.key for b in buckets]).values_list("key", "n_used")
    )
    return any(counts.get(bucket.key, 0) >= bucket.most for bucket in buckets)


def confirmation_buckets(account: int) -> list[Bucket]:
    """Return what passwords typed by somebody who is logged in are counted by."""
    return [_bucket("confirm", str(account), most=MOST_PER_CONFIRMATION)]


def _add_missing(buckets: Sequence[Bucket]) -> None:
    keys = {bucket.key for bucket in buckets}
    missing = keys - set(LogInBucket.objects.filter(pk__in=keys).values_list("key", flat=True))
    if not missing:
        return
    LogInBucket.objects.filter(since__lte=Now() - 2 * WINDOW).exclude(pk__in=keys).delete()
    new = [LogInBucket(key=key, since=timezone.now()) for key in sorted(missing)]
    LogInBucket.objects.bulk_create(new, ignore_conflicts=True)


def _take(bucket: Bucket) -> bool:
    is_over = Q(since__lte=Now() - WINDOW)
    row = LogInBucket.objects.filter(is_over | Q(n_used__lt=bucket.most), pk=bucket.key)
    return bool(
        row.update(
            n_used=Case(When(is_over, then=Value(1)), default=F("n_used") + 1),
            since=Case(When(is_over, then=Now()), default=F("since")),
        )
    )


def give_back(buckets: Sequence[Bucket]) -> None:
    """Uncount an attempt that succeeded: whoever has the password doesn't guess it."""
    keys = [bucket.key for bucket in buckets]
    LogInBucket.objects.filter(pk__in=keys, n_used__gt=0).update(n_used=F("n_used") - 1)


def write_browser(name: str) -> str:
    """Return the cookie that tells this browser from a stranger's at the person's next log-in."""
    return signing.dumps([fold_name(name), secrets.token_urlsafe(12)], salt=_SALT)


def read_browser(cookie: str, folded: str) -> str:
    """Return the number of a browser in which this account has logged in, else nothing."""
    try:
        name, number = signing.loads(cookie, salt=_SALT, max_age=BROWSER_DAYS * 86_400)
    except (signing.BadSignature, ValueError):
        return ""
    return str(number) if name == folded else ""


def _bucket(*parts: str, most: int) -> Bucket:
    return Bucket(hashlib.sha256("\0".join(parts).encode()).hexdigest(), most)
