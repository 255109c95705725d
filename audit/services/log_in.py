"""Log-ins are counted before a password is hashed, so that guessing is slow and floods are cheap.

An attempt is taken from three buckets, each of a quarter of an hour: the account's name from this
address, the name from anywhere, the address whatever the name. A browser in which the person has
logged in before shows a signed cookie and has a bucket of its own: strangers who guess can't keep
the person out. Refused attempts count for nothing, so a window ends when it ends. Successes are
given back.

A flood from many addresses stays below every one of those. So where a name or an address has a
failure in its window, the attempt is taken from one more bucket, which all such attempts share and
which holds few but for seconds only. Somebody new, or in a known browser, doesn't need it.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
# Two hashes a second take less than a tenth of one core.
CROWD_WINDOW, MOST_IN_CROWD = timedelta(seconds=10), 20
BROWSER_DAYS = 180
_SALT = "audit.known-browser"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What attempts are counted by, hashed: names may be passwords typed into the wrong field."""

    key: str
    most: int
    window: timedelta = WINDOW
    # Whether a failure in it makes the next attempt one of the crowd's.
    is_strangers: bool = False


class TooManyAttemptsError(Exception):
    """Nothing was tried: a bucket is full. `window`: when to come again at the latest."""

    def __init__(self, window: timedelta) -> None:
        super().__init__(f"full for {window}")
        self.window = window


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
        _bucket("name", folded, most=MOST_PER_NAME, is_strangers=True),
        _bucket("address", address, most=MOST_PER_ADDRESS, is_strangers=True),
    ]


def take_attempt(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Count one attempt in each bucket at once, or raise and count it in none.

    Return the buckets to give it back to if it succeeds: an attempt that is still being checked
    looks like a failure to others of its address, and an office logs in at nine o'clock. A flood
    meets one question to the database and no write.
    """
    crowd = _bucket("crowd", most=MOST_IN_CROWD, window=CROWD_WINDOW)
    used = _read_used([*buckets, crowd])
    taken = list(buckets)
    if any(bucket.is_strangers and used.get(bucket.key) for bucket in buckets):
        taken.append(crowd)
    for bucket in taken:
        if used.get(bucket.key, 0) >= bucket.most:
            raise TooManyAttemptsError(bucket.window)
    with transaction.atomic():
        _add_missing(taken)
        # In one order, so that two attempts at one moment never wait for each other.
        for bucket in sorted(taken, key=lambda each: each.key):
            if not _take(bucket):
                transaction.set_rollback(True)
                full = bucket
                break
        else:
            return taken
    raise TooManyAttemptsError(full.window)


def _read_used(buckets: Sequence[Bucket]) -> dict[str, int]:
    """Return the attempts of each bucket in its present window, by its key."""
    is_running = Q()
    for bucket in buckets:
        is_running |= Q(key=bucket.key, since__gt=Now() - bucket.window)
    return dict(LogInBucket.objects.filter(is_running).values_list("key", "n_used"))


def is_any_full(buckets: Sequence[Bucket]) -> bool:
    """Whether the attempts of this window are used up."""
    used = _read_used(buckets)
    return any(used.get(bucket.key, 0) >= bucket.most for bucket in buckets)


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
    is_over = Q(since__lte=Now() - bucket.window)
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


def _bucket(*parts: str, **limits: Any) -> Bucket:
    return Bucket(hashlib.sha256("\0".join(parts).encode()).hexdigest(), **limits)
