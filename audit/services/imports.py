"""Order an import from a folder of the server, have a worker do it, pick up what a dead one left.

Whoever may log in to the machine imports by command, from wherever they may read. Whoever comes
by the API does so from the folders alone that the installation's settings open for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from audit.input_files import keep_input
from audit.loaders import ImportRefused, load_dataset
from audit.models import Dataset, DatasetImport, Project
from audit.services import claims
from audit.services.datasets import DatasetRefusedError, store_dataset

MOST_WAITING = 20  # imports of one project that are not done yet
TOLD_EVERY = 1.0  # seconds
PATHS = ("path", "classes", "root")
logger = logging.getLogger(__name__)


class ImportNotAllowedError(ValueError):
    """The import can't be ordered; the message says why."""


def order_import(
    project: Project, slug: str, order: Mapping[str, str], person: User | None = None
) -> DatasetImport:
    """Record that a data set shall be brought in; `order`: format, path, classes, root, .."""
    for name in PATHS:
        if order.get(name):
            find_below_roots(order[name])
    if Dataset.objects.filter(slug=slug).exists():
        raise ImportNotAllowedError(f"a data set named {slug!r} exists already")
    with transaction.atomic():
        # One order at a time, so that they can be counted.
        Project.objects.select_for_update().get(pk=project.pk)
        waiting = DatasetImport.objects.filter(
            project=project, work__in=[DatasetImport.Work.PENDING, DatasetImport.Work.RUNNING]
        )
        if waiting.count() >= MOST_WAITING:
            raise ImportNotAllowedError(
                f"{MOST_WAITING} imports of this project are still to be done; order again when "
                "one is"
            )
        return DatasetImport.objects.create(
            project=project, slug=slug, order=dict(order), created_by=person
        )


def find_below_roots(said: str) -> Path:
    """Return the file or folder meant, links resolved; only what lies below an open folder is.

    Whether something else exists is not told: outside is outside.
    """
    roots = [Path(root).resolve() for root in settings.IMPORT_ROOTS]
    if not roots:
        raise ImportNotAllowedError(
            "this installation opens no folder for imports: LABEL_AUDIT_IMPORT_ROOTS is empty"
        )
    for root in roots:
        found = (root / said).resolve()
        if found.is_relative_to(root) and found.exists():
            return found
    raise ImportNotAllowedError(f"{said!r} is nothing below the folders open for imports")


def run_import(import_id: int) -> bool:
    """Do one pending import; False when there is nothing to do or the claim was lost."""
    row = DatasetImport.objects.select_related("project", "created_by").filter(pk=import_id).first()
    epoch = claims.claim(row) if row else None
    if row is None or epoch is None:
        return False
    refusal: dict[str, Any] = {}
    try:
        with claims.heartbeat(row, epoch):
            dataset = _find_left(row) or _bring_in(row, epoch)
    except ImportRefused as error:
        first = error.problems[0]
        refusal = {"code": first.code, "row": first.row, "col": first.column or None}
        reason = str(error)
    except (ImportNotAllowedError, DatasetRefusedError, OSError) as error:
        reason = str(error)
    else:
        return claims.commit(row, epoch, dataset=dataset)
    logger.info("%s was refused: %s", row, reason)
    DatasetImport.objects.filter(pk=row.pk, epoch=epoch).update(refusal=refusal)
    claims.fail(row, epoch, reason)
    return False


def _find_left(row: DatasetImport) -> Dataset | None:
    """Return what an earlier attempt stored that died before it could say so."""
    stored = Dataset.objects.filter(slug=row.slug, project=row.project_id)
    made_for_it = stored.filter(created_at__gte=row.created_at)
    return made_for_it.filter(source_format=row.order["format"]).first()


def _bring_in(row: DatasetImport, epoch: int) -> Dataset:
    # Asked again: a link may lead elsewhere than when it was ordered.
    paths = {name: find_below_roots(row.order[name]) for name in PATHS if row.order.get(name)}
    loaded = load_dataset(
        row.order["format"],
        paths["path"],
        classes_file=paths.get("classes"),
        root=paths.get("root"),
        split=row.order.get("split") or None,
    )
    dataset = store_dataset(
        row.project,
        row.slug,
        row.order["format"],
        loaded,
        notice=row.order.get("notice", ""),
        person=row.created_by,
        on_progress=_progress_of(row, epoch),
    )
    keep_input(dataset, paths["path"])
    return dataset


def _progress_of(row: DatasetImport, epoch: int) -> Callable[[int, int], None]:
    """Return what notes how many images are checked, once a second while the claim holds."""
    held = DatasetImport.objects.filter(pk=row.pk, epoch=epoch)
    told = time.monotonic()

    def note(n_done: int, n_items: int) -> None:
        nonlocal told
        if n_done == n_items or time.monotonic() - told >= TOLD_EVERY:
            held.update(n_done=n_done, n_items=n_items)
            told = time.monotonic()

    return note


def reconcile_imports() -> int:
    """Return imports of dead workers to the pending ones; give up after three. Return how many."""
    lost = claims.abandoned(DatasetImport.objects.all())
    for row in lost:
        claims.retry_or_fail(row, f"worker {row.owner} died or fell silent")
    return len(lost)
