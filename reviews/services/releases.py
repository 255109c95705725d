"""Order a release, build its files, and pick up builds that a dead worker left."""

from __future__ import annotations

import logging
import shutil

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from audit.models import Audit
from audit.services import claims
from reviews.decisions import Snapshot
from reviews.models import Policy, Release
from reviews.release_files import publish_release, release_folder

logger = logging.getLogger(__name__)


class ReleaseRefusedError(ValueError):
    """There is nothing to release; the message says why."""


def order_release(audit: Audit, policy: str, person: User | None = None) -> Release:
    """Record that a release of the judgments so far is wanted; a worker builds it."""
    if not audit.is_ready:
        raise ReleaseRefusedError(f"{audit} is {audit.state}; a release needs a ready audit")
    snapshot = Snapshot.now(audit)
    if snapshot == Snapshot(0):
        raise ReleaseRefusedError("nothing is judged yet, so there is nothing to release")
    while True:
        newest = Release.objects.filter(audit=audit).aggregate(Max("number"))["number__max"] or 0
        try:
            with transaction.atomic():
                return Release.objects.create(
                    audit=audit,
                    number=newest + 1,
                    policy=Policy(policy),
                    last_judgment=snapshot.judgment,
                    last_adjudication=snapshot.adjudication,
                    created_by=person,
                )
        except IntegrityError:
            if not Release.objects.filter(audit=audit, number=newest + 1).exists():
                raise


def build_release(release_id: int) -> bool:
    """Build one pending release; False when there is nothing to do or the claim was lost."""
    release = Release.objects.select_related("audit__dataset").filter(pk=release_id).first()
    epoch = claims.claim(release) if release else None
    if release is None or epoch is None:
        return False
    target = release_folder(release.audit_id, release.number)
    # An attempt may have died between moving its files and saying so; ours are the same bytes.
    shutil.rmtree(target, ignore_errors=True)
    try:
        with claims.heartbeat(release, epoch):
            snapshot = Snapshot(release.last_judgment, release.last_adjudication)
            manifest = publish_release(release.audit, release.policy, snapshot, target, str(epoch))
    except (OSError, ValueError) as error:
        logger.warning("release %s failed", release.pk, exc_info=True)
        claims.fail(release, epoch, f"{type(error).__name__}: {error}")
        return False
    return claims.commit(release, epoch, manifest=manifest)


def reconcile_releases() -> int:
    """Return builds of dead workers to the pending ones; give up after three. Return how many."""
    lost = claims.abandoned(Release.objects.all())
    for release in lost:
        claims.retry_or_fail(release, f"worker {release.owner} died or fell silent")
    return len(lost)
