"""Order a release, build its files, and pick up builds that a dead worker left."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from audit.models import Act, Audit, Project
from audit.services import claims
from audit.services.log import write_log
from audit.services.sent_requests import Sent, keep_sent
from reviews.decisions import Snapshot
from reviews.models import Release, StoredPolicy
from reviews.policies import (
    BUILT_IN,
    AnyPolicy,
    PolicyError,
    ReleasePolicy,
    find_policy,
    read_policy,
)
from reviews.release_files import open_source, publish_release, release_folder
from reviews.release_formats import DEFAULT_FORMATS, FormatRefusedError, check_formats
from reviews.release_formats.registry import order_formats

PROGRESS_SECONDS = 1.0
MOST_WAITING = 20  # releases of one audit that are not built yet: each one writes all its items
SLUG = re.compile(r"[A-Za-z0-9_-]{1,50}")
logger = logging.getLogger(__name__)


class ReleaseRefusedError(ValueError):
    """There is nothing to release; the message says why."""


def order_release(
    audit: Audit,
    policy: AnyPolicy,
    person: User | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    sent: Sent | None = None,
) -> Release:
    """Record that a release of the judgments so far is wanted; a worker builds it.

    A request that was `sent` before, with its key, orders no other one.
    """
    if not audit.is_ready:
        raise ReleaseRefusedError(f"{audit} is {audit.state}; a release needs a ready audit")
    snapshot = Snapshot.now(audit)
    if snapshot == Snapshot(0):
        raise ReleaseRefusedError("nothing is judged yet, so there is nothing to release")
    rule = find_policy(policy, audit.dataset.project_id)
    if not formats:
        raise ReleaseRefusedError("choose a format at least")
    check_formats(open_source(audit), formats)
    while True:
        newest = Release.objects.filter(audit=audit).aggregate(Max("number"))["number__max"] or 0
        # Counted after the number is known: whoever orders meanwhile takes that number.
        _check_room(audit)
        try:
            with transaction.atomic():
                release = Release.objects.create(
                    audit=audit,
                    number=newest + 1,
                    policy=rule.name,
                    policy_version=rule.version,
                    policy_definition=rule.describe(),
                    formats=order_formats(formats),
                    last_judgment=snapshot.judgment,
                    last_adjudication=snapshot.adjudication,
                    created_by=person,
                )
                keep_sent(sent, release.pk)
                write_log(
                    Act.RELEASE_ORDERED,
                    f"release {release.number} of audit {audit.pk}",
                    person=person,
                    project=audit.dataset.project,
                    policy=f"{rule.name} {rule.version}",
                    formats=release.formats,
                )
                return release
        except IntegrityError:
            if not Release.objects.filter(audit=audit, number=newest + 1).exists():
                raise


def _check_room(audit: Audit) -> None:
    waiting = Release.objects.filter(
        audit=audit, work__in=[Release.Work.PENDING, Release.Work.RUNNING]
    )
    if waiting.count() >= MOST_WAITING:
        raise ReleaseRefusedError(
            f"{MOST_WAITING} releases of {audit} are still to be built; order again when one is "
            "done or cancelled"
        )


def build_release(release_id: int) -> bool:
    """Build one pending release; False when there is nothing to do or the claim was lost."""
    release = Release.objects.select_related("audit__dataset").filter(pk=release_id).first()
    epoch = claims.claim(release) if release else None
    if release is None or epoch is None:
        return False
    target = release_folder(release.audit_id, release.number)
    # An attempt may have died between moving its files and saying so; ours are the same bytes.
    for left in (target, *target.parent.glob(f".{target.name}.*.tmp")):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with claims.heartbeat(release, epoch):
            manifest = publish_release(
                release.audit,
                policy_of(release),
                snapshot_of(release),
                target,
                str(epoch),
                release.formats,
                _progress_of(release, epoch),
            )
    except claims.ClaimLostError:
        logger.info("release %s was cancelled or taken over", release.pk)
        return False
    except (OSError, ValueError) as error:
        logger.warning("release %s failed", release.pk, exc_info=True)
        # What was refused says why in words; of what broke, its kind belongs to the reason.
        is_told = isinstance(error, FormatRefusedError)
        claims.fail(release, epoch, str(error) if is_told else f"{type(error).__name__}: {error}")
        return False
    return claims.commit(release, epoch, manifest=manifest)


def policy_of(release: Release) -> ReleasePolicy:
    """Return the policy as it was when the release was ordered."""
    return read_policy(release.policy, release.policy_version, release.policy_definition)


def snapshot_of(release: Release) -> Snapshot:
    """Return the newest judgment and adjudication that count in the release."""
    return Snapshot(release.last_judgment, release.last_adjudication)


def _progress_of(release: Release, epoch: int) -> Callable[[int], None]:
    """Return what notes how many items are written, once a second; it stops a lost claim."""
    held = Release.objects.filter(pk=release.pk, work=Release.Work.RUNNING, epoch=epoch)
    held.update(n_written=0)
    told = time.monotonic()

    def note(n_items: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            if not held.update(n_written=n_items):
                raise claims.ClaimLostError
            told = time.monotonic()

    return note


def save_policy(
    project: Project, name: str, document: dict[str, Any], person: User | None = None
) -> ReleasePolicy:
    """Store a policy's next version; the newest stays where nothing is different."""
    if name in BUILT_IN:
        raise PolicyError(f"{name} is built in; give yours another name")
    if not SLUG.fullmatch(name):
        raise PolicyError(f"a policy's name is letters, digits, - and _, up to 50, not {name!r}")
    definition = read_policy(name, 1, document).describe()
    while True:
        versions = StoredPolicy.objects.filter(project=project, name=name)
        newest = versions.order_by("-version").first()
        if newest is not None and newest.definition == definition:
            return read_policy(name, newest.version, definition)
        version = newest.version + 1 if newest else 1
        try:
            with transaction.atomic():
                StoredPolicy.objects.create(
                    project=project,
                    name=name,
                    version=version,
                    definition=definition,
                    created_by=person,
                )
                subject = f"policy {name}, version {version}"
                write_log(Act.POLICY_SAVED, subject, person=person, project=project)
        except IntegrityError:
            if not versions.filter(version=version).exists():
                raise
        else:
            return read_policy(name, version, definition)


def reconcile_releases() -> int:
    """Return builds of dead workers to the pending ones; give up after three. Return how many."""
    lost = claims.abandoned(Release.objects.all())
    for release in lost:
        claims.retry_or_fail(release, f"worker {release.owner} died or fell silent")
    return len(lost)
