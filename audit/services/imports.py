"""Order an import from a folder of the server, have a worker do it, pick up what a dead one left.

Whoever may log in to the machine imports by command, from wherever they may read. Whoever comes
by the API does so from the folders alone that the installation's settings open for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from audit.input_files import forget_input, keep_input
from audit.loaders import ImportRefused, load_dataset
from audit.models import Dataset, Import, Project, ScoreSet
from audit.services import claims
from audit.services.datasets import DatasetRefusedError, store_dataset
from audit.services.score_imports import import_scores
from audit.services.scores import ScoresBusyError, ScoresRefusedError
from audit.services.sent_requests import Sent, keep_sent

MOST_WAITING = 20  # imports of one project that are not done yet
TOLD_EVERY = 1.0  # seconds
PATHS = ("path", "classes", "root", "references")
logger = logging.getLogger(__name__)


class ImportNotAllowedError(ValueError):
    """The import can't be ordered; the message says why."""


@dataclass(frozen=True, slots=True)
class Held:
    """An import that this worker has in hand, with its files as they lead now, links resolved."""

    row: Import
    epoch: int
    paths: Mapping[str, Path]
    told: list[float] = field(default_factory=lambda: [time.monotonic()])

    def note(self, n_done: int, n_items: int) -> None:
        """Tell how many images are checked, once a second; stop what was cancelled."""
        if n_done == n_items or time.monotonic() - self.told[0] >= TOLD_EVERY:
            held = Import.objects.filter(pk=self.row.pk, epoch=self.epoch, work=Import.Work.RUNNING)
            if not held.update(n_done=n_done, n_items=n_items):
                raise claims.ClaimLostError
            self.told[0] = time.monotonic()

    def finish(self, **fields: Any) -> None:
        """Say that it is done, in the transaction that stores what came in: both or neither."""
        if not claims.commit(self.row, self.epoch, refusal={}, **fields):
            raise claims.ClaimLostError


def order_import(
    project: Project,
    slug: str,
    order: Mapping[str, str],
    person: User | None = None,
    sent: Sent | None = None,
) -> Import:
    """Record that a data set shall be brought in; `order`: format, path, classes, root, .."""
    check_paths(order)
    if Dataset.objects.filter(slug=slug).exists():
        raise ImportNotAllowedError(f"a data set named {slug!r} exists already")
    return record_import(Import(project=project, name=slug, order=dict(order)), person, sent)


def order_scores_import(
    dataset: Dataset,
    expert: str,
    order: Mapping[str, str],
    person: User | None = None,
    sent: Sent | None = None,
) -> Import:
    """Record that an expert's scores shall be brought in; `order`: format, path, verifier, .."""
    check_paths(order)
    there = ScoreSet.objects.filter(dataset=dataset, expert=expert)
    imported = there.filter(source=ScoreSet.Source.IMPORTED)
    if there.exists() and not imported.unfinished().exists():
        raise ImportNotAllowedError(f"{dataset} has scores of {expert!r} already")
    row = Import(kind=Import.Kind.SCORES, project=dataset.project, dataset=dataset, name=expert)
    row.order = dict(order)
    return record_import(row, person, sent)


def record_import(row: Import, person: User | None, sent: Sent | None) -> Import:
    """Store an order; a request that is sent again, with its key, orders nothing more."""
    row.created_by = person
    with transaction.atomic():
        # One order at a time, so that they can be counted.
        Project.objects.select_for_update(no_key=True).get(pk=row.project_id)
        under_way = [Import.Work.PENDING, Import.Work.RUNNING]
        waiting = Import.objects.filter(project=row.project_id, work__in=under_way)
        if waiting.count() >= MOST_WAITING:
            raise ImportNotAllowedError(
                f"{MOST_WAITING} imports of this project are still to be done; order again when "
                "one is"
            )
        row.save()
        keep_sent(sent, row.pk)
    return row


def check_paths(order: Mapping[str, str]) -> None:
    """Refuse an order that names a path which isn't below an open folder."""
    for name in PATHS:
        if order.get(name):
            find_below_roots(order[name])


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
        try:
            found = (root / said).resolve()
            if found.is_relative_to(root) and (found.is_file() or found.is_dir()):
                return found
        except (OSError, RuntimeError):
            continue  # a name longer than any, links in circles
    raise ImportNotAllowedError(f"{said!r} is nothing below the folders open for imports")


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds a link out of all that is open, or what is no file at all.

    Loaders open what lies there by its name, with the worker's rights: a link would let whoever
    may write into an open folder read what only the worker may, and a pipe would never end.
    """
    roots = [Path(root).resolve() for root in settings.IMPORT_ROOTS]
    waiting = [folder.resolve()] if folder.is_dir() else []
    seen = set(waiting)
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    continue
                inner = _find_inner(Path(entry.path), roots)
                if inner.is_dir() and inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)


def _find_inner(path: Path, roots: Sequence[Path]) -> Path:
    """Return the folder or file that a link or a folder is, in the end."""
    name = ascii(path.name[:100])
    try:
        found = path.resolve()
    except (OSError, RuntimeError) as error:
        raise ImportNotAllowedError(f"{name} leads in circles") from error
    if not any(found.is_relative_to(root) for root in roots):
        raise ImportNotAllowedError(f"{name} leads out of the folders open for imports")
    if found.exists() and not found.is_file() and not found.is_dir():
        raise ImportNotAllowedError(f"{name} is neither a file nor a folder")
    return found


def run_import(import_id: int) -> bool:
    """Do one pending import of a data set or of scores; False when there is nothing to do."""
    return bring_in(Import.objects.of_data().filter(pk=import_id), _bring_in)


def bring_in(wanted: QuerySet[Import], read: Callable[[Held], None]) -> bool:
    """Do the one pending import that is wanted by ``read``, which ends in ``Held.finish``.

    False when there is nothing to do, the claim was lost, or the files are refused: nothing of
    them is stored then.
    """
    row = wanted.select_related("project", "dataset__project", "created_by").first()
    epoch = claims.claim(row) if row else None
    if row is None or epoch is None:
        return False
    refusal: dict[str, Any] = {}
    paths: dict[str, Path] = {}
    try:
        # Asked again: a link may lead elsewhere than when it was ordered.
        paths |= {name: find_below_roots(row.order[name]) for name in PATHS if row.order.get(name)}
        with claims.heartbeat(row, epoch):
            for path in paths.values():
                check_folder(path)
            read(Held(row, epoch, paths))
    except claims.ClaimLostError:
        logger.info("%s was cancelled or taken over", row)
        return False
    except ScoresBusyError as error:
        # A dead worker's scores, that isn't known to be dead yet.
        claims.put_off(row, epoch, str(error))
        return False
    except ImportRefused as error:
        first = error.problems[0]
        refusal = {"code": first.code, "row": first.row, "col": first.column or None}
        reason = str(error)
    except (ImportNotAllowedError, DatasetRefusedError, ScoresRefusedError, OSError) as error:
        reason = str(error)
    else:
        return True
    for name, path in paths.items():
        # Where a folder lies on the server is the server's own affair.
        reason = reason.replace(str(path), row.order[name])
    logger.info("%s was refused: %s", row, reason)
    Import.objects.filter(pk=row.pk, epoch=epoch).update(refusal=refusal)
    claims.fail(row, epoch, reason)
    return False


def _bring_in(held: Held) -> None:
    (_bring_scores if held.row.kind == Import.Kind.SCORES else _bring_dataset)(held)


def _bring_dataset(held: Held) -> None:
    row, paths = held.row, held.paths
    loaded = load_dataset(
        row.order["format"],
        paths["path"],
        classes_file=paths.get("classes"),
        root=paths.get("root"),
        split=row.order.get("split") or None,
    )
    found = {"notices": list(loaded.notices), "skipped": dict(loaded.skipped)}

    def complete(dataset: Dataset) -> None:
        # Before it is done: a worker that dies then would leave a data set without its file.
        keep_input(dataset, paths["path"])
        try:
            held.finish(dataset=dataset, found=found)
        except claims.ClaimLostError:
            forget_input(dataset.pk)
            raise

    store_dataset(
        row.project,
        row.name,
        row.order["format"],
        loaded,
        notice=row.order.get("notice", ""),
        person=row.created_by,
        on_progress=held.note,
        complete=complete,
    )


def _bring_scores(held: Held) -> None:
    row, paths = held.row, held.paths
    assert row.dataset is not None  # noqa: S101 - of scores it is known from the beginning
    import_scores(
        row.dataset,
        row.name,
        paths["path"],
        row.order["format"],
        verifier=row.order["verifier"],
        references=paths.get("references"),
        person=row.created_by,
        finish=lambda score_set, notices: held.finish(
            score_set=score_set, found={"notices": notices, "sha256": score_set.sha256}
        ),
    )


@transaction.atomic
def resume_import(row: Import) -> bool:
    """Have a cancelled or refused import done after all, from its beginning."""
    resumed = claims.resume(row)
    if resumed:
        Import.objects.filter(pk=row.pk).update(refusal={}, n_done=0, n_items=0)
    return resumed


def reconcile_imports() -> int:
    """Return imports of dead workers to the pending ones; give up after three. Return how many."""
    lost = claims.abandoned(Import.objects.all())
    for row in lost:
        claims.retry_or_fail(row, f"worker {row.owner} died or fell silent")
    return len(lost)
