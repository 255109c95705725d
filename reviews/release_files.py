"""The files of a release: written streaming and atomically, the same bytes from the same inputs."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.durable_files import sync_folder
from audit.evidence import Evidence, load_evidence
from audit.hashed_folders import MANIFEST, hash_manifest, write_manifest
from audit.models import Audit
from reviews.decisions import (
    Action,
    Decision,
    Snapshot,
    StandingVote,
    decide_item,
    load_rulings,
    load_votes,
)
from reviews.policies import AnyPolicy, Open, ReleasePolicy, find_policy
from reviews.release_formats import (
    DEFAULT_FORMATS,
    LabelRow,
    ReleaseFolder,
    Source,
    check_formats,
    open_writers,
)
from reviews.release_formats.registry import order_formats
from reviews.release_manifest import Tally, describe_release

CHUNK = 2000
LEFTOVER = ".release.tmp"  # how the folder ends that a build is written to
Progress = Callable[[int], None]
COLUMNS = ("position", "pk", "key", "given_label", "quarantine_code")
PICTURE_COLUMNS = ("image", "width", "height", "content_sha256")
QUESTION_COLUMNS = ("question", "choices", "subject")


class ReleaseFolderError(ValueError):
    """The folder can't take a release; the message says why."""


def release_folder(audit_id: int, number: int) -> Path:
    """Return where a release of this installation lies."""
    return Path(settings.LABEL_AUDIT_HOME, "releases", str(audit_id), str(number))


def publish_release(
    audit: Audit,
    policy: AnyPolicy,
    snapshot: Snapshot,
    target: Path,
    attempt: str,
    formats: Sequence[str] = DEFAULT_FORMATS,
    on_progress: Progress = lambda _n_items: None,
) -> dict[str, Any]:
    """Write a release beside ``target``, then move it there whole; return its manifest.

    ``attempt`` names the folder written to, so that two attempts never share one. The target
    may be missing or empty; a folder with something in it is never written over.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target.parent)
    temporary = target.parent / f".{target.name}.{attempt}{LEFTOVER}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    handle = _hold(temporary)
    try:
        rule = find_policy(policy, audit.dataset.project_id)
        manifest = write_release(audit, rule, snapshot, temporary, formats, on_progress)
        sync_folder(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)
    return manifest


def _clear_leftovers(folder: Path) -> None:
    """Remove what killed builds have left in a folder; one that is being written is locked."""
    for left in folder.glob(f".*{LEFTOVER}"):
        try:
            handle = _hold(left)
        except OSError:
            continue  # its writer is at work, or has just moved it into place
        shutil.rmtree(left, ignore_errors=True)
        os.close(handle)


def _hold(folder: Path) -> int:
    """Lock a folder for as long as the handle is open; the system lets go for who is killed."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def export_release(
    audit: Audit,
    policy: AnyPolicy,
    snapshot: Snapshot,
    target: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> dict[str, Any]:
    """Write a release to a folder of the caller's, which must be new or empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ReleaseFolderError(f"{target} exists and is not an empty folder")
    attempt = str(os.getpid())
    rule = find_policy(policy, audit.dataset.project_id)
    return publish_release(audit, rule, snapshot, target.resolve(), attempt, formats)


def write_release(
    audit: Audit,
    policy: ReleasePolicy,
    snapshot: Snapshot,
    folder: Path,
    formats: Sequence[str],
    on_progress: Progress,
) -> dict[str, Any]:
    """Write the files into an empty folder, reading every item once, and return the manifest."""
    votes = load_votes(audit, snapshot.judgment)
    rulings = load_rulings(audit, snapshot.adjudication)
    source = open_source(audit, name_annotators(votes.values()))
    check_formats(source, formats)
    tally = Tally()
    files = ReleaseFolder(folder)
    try:
        marks = policy.undecided is Open.MARK
        writers = open_writers(source, files, formats, marks_undecided=marks)
        for row in read_rows(audit, policy, votes, rulings):
            tally.actions[row.decision.action] += 1
            tally.n_judged += bool(row.votes or row.ruling)
            for writer in writers:
                writer.add(row)
            if row.position % CHUNK == 0:
                on_progress(row.position)
        for writer in writers:
            writer.close()
        files.close()
    finally:
        files.abandon()
    described = describe_release(audit, policy, snapshot, order_formats(formats), tally)
    described["files"] = files.describe()
    described["sha256"] = hash_manifest(described)
    _write_whole(folder / MANIFEST, write_manifest(described))
    return described


def open_source(audit: Audit, pseudonyms: dict[int, str] | None = None) -> Source:
    """Return what the formats look up of an audit."""
    experts = audit.experts.order_by("order").values_list("score_set__expert", flat=True)
    return Source(
        audit=audit,
        classes=list(audit.dataset.classes.order_by("index")),
        experts=list(experts),
        pseudonyms=pseudonyms or {},
        evidence=_find_evidence(audit),
    )


def _find_evidence(audit: Audit) -> Evidence | None:
    try:
        return load_evidence(audit.pk)
    except FileNotFoundError:
        return None


def read_rows(
    audit: Audit,
    policy: ReleasePolicy,
    votes: dict[int, list[StandingVote]],
    rulings: dict[int, StandingVote],
) -> Iterator[LabelRow]:
    """Yield every item of the data set in its order, with its decision."""
    is_question = audit.dataset.kind == audit.dataset.Kind.MULTIPLE_CHOICE
    more = QUESTION_COLUMNS if is_question else PICTURE_COLUMNS
    items = audit.dataset.items.order_by("position").values_list(*COLUMNS, *more)
    for position, pk, key, given_label, quarantine_code, *rest in items.iterator(chunk_size=CHUNK):
        standing, ruling = votes.get(position, []), rulings.get(position)
        if quarantine_code:
            reason = f"quarantined: {quarantine_code}"
            decision = Decision(Action.KEPT, "", given_label, reason=reason)
        elif standing or ruling:
            decision = decide_item(given_label, standing, ruling, policy)
        else:
            decision = Decision(Action.KEPT, "", given_label)
        fields = dict(zip(more, rest, strict=True))
        fields["is_quarantined"] = bool(quarantine_code)
        yield LabelRow(position, pk, key, given_label, decision, standing, ruling, **fields)


def name_annotators(votes: Iterable[list[StandingVote]]) -> dict[int, str]:
    """Return a pseudonym per annotator: numbered by first judgment, the same in every build."""
    ordered = sorted((vote for standing in votes for vote in standing), key=lambda v: v.judgment)
    people = dict.fromkeys(vote.annotator for vote in ordered)
    return {person: f"annotator-{number}" for number, person in enumerate(people, start=1)}


def _write_whole(path: Path, text: str) -> None:
    with path.open("xb") as stream:
        stream.write(text.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())
