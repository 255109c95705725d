"""Append to an audit's hash chain: one row at a time, whoever writes.

The head is locked until the commit: writers of one audit take turns for that long, those of
different audits never. So what needs no lock is settled before.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from audit.chains import hash_link
from reviews.models import Sample
from reviews.models.chains import DecidedLink

Head = TypeVar("Head", bound=Sample)


def lock_chain(samples: QuerySet[Head]) -> Head:
    """Lock the one sample's chain until the transaction ends, and return it as it now stands."""
    return samples.select_for_update(of=("self",), no_key=True).get()


def append_link(head: Sample, link: DecidedLink) -> None:
    """Insert a row as the newest of the chain, whose `head` was locked in this transaction."""
    link.number = head.chain_length + 1
    link.previous_hash = head.chain_hash
    link.decided_at = timezone.now()
    link.hash = hash_link(link)
    link.save(force_insert=True)
    head.chain_length, head.chain_hash = link.number, link.hash
    Sample.objects.filter(pk=head.pk).update(chain_length=link.number, chain_hash=link.hash)
