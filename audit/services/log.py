"""Write the log: in the transaction of what it speaks of, so that neither is there alone."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone

from audit.chains import ChainReader, Fault, hash_link
from audit.models import Act, Installation, LogEntry, Project

CHUNK = 2000


@transaction.atomic
def write_log(
    act: Act,
    subject: str = "",
    *,
    person: AbstractBaseUser | AnonymousUser | None = None,
    project: Project | None = None,
    address: str = "",
    **detail: Any,
) -> LogEntry:
    """Append an entry. Without a person it was a command, given on the server.

    The chain's head stays locked until the commit: write the log last.
    """
    new = {"version": settings.LABEL_AUDIT_VERSION}
    Installation.objects.get_or_create(pk=1, defaults=new)
    head = Installation.objects.select_for_update(no_key=True).get(pk=1)
    entry = LogEntry(
        number=head.log_length + 1,
        previous_hash=head.log_hash,
        at=timezone.now(),
        act=act,
        person_number=person.pk if person else None,
        person=person.get_username() if person else "",
        address=address,
        project=project.slug if project else "",
        subject=subject[:255],
        detail=detail,
    )
    entry.hash = hash_link(entry)
    entry.save(force_insert=True)
    Installation.objects.filter(pk=1).update(log_length=entry.number, log_hash=entry.hash)
    return entry


def check_log() -> tuple[int, Fault | None]:
    """Return how many entries of the log hold, and the first that doesn't."""
    reader = ChainReader()
    entries = LogEntry.objects.order_by("number", "pk").iterator(chunk_size=CHUNK)
    for _ in reader.read(entries):
        pass
    head = Installation.objects.filter(pk=1).first()
    reader.check_end(head.log_length if head else 0, head.log_hash if head else "")
    return reader.number, reader.fault
