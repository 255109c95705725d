"""The files of a release: written streaming and atomically, the same bytes from the same inputs."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from audit.models import Audit
from reviews.decisions import Action, Decision, StandingVote, decide, load_votes
from reviews.models import Judgment, Policy, Sample, Verdict
from reviews.models.judgments import TAXONOMY_VERSION
from reviews.truths import ERRORS

LABELS, VOTES, PATCH, MANIFEST = "labels.csv", "votes.csv", "patch.csv", "manifest.json"
LABEL_COLUMNS = (
    *("key", "given_label", "given_name", "cleaned_label", "cleaned_name"),
    *("also_labels", "action", "verdict", "n_votes", "reason"),
)
VOTE_COLUMNS = ("key", "judgment", "annotator", "verdict", "corrected_label", "decided_at")
PATCH_COLUMNS = ("key", "given_label", "cleaned_label", "also_labels", "action", "judgments")
FORMAT = "label-audit release 1"
CHUNK = 2000


class ReleaseFolderError(ValueError):
    """The folder can't take a release; the message says why."""


class HashedFile:
    """A file being written, whose hash and size are known at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, text: str) -> int:
        """Append text as UTF-8."""
        content = text.encode("utf-8")
        self._hash.update(content)
        self._size += len(content)
        return self._stream.write(content)

    def describe(self) -> dict[str, Any]:
        """Return what the manifest says about the file."""
        return {"sha256": self._hash.hexdigest(), "bytes": self._size}


@dataclass(slots=True)
class Tally:
    """What the files hold, counted while they are written."""

    actions: Counter[str] = field(default_factory=Counter)
    n_judged: int = 0


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One item of the data set and what becomes of it."""

    key: str
    given_label: int
    decision: Decision
    votes: list[StandingVote]


def release_folder(audit_id: int, number: int) -> Path:
    """Return where a release of this installation lies."""
    return Path(settings.LABEL_AUDIT_HOME, "releases", str(audit_id), str(number))


def publish_release(
    audit: Audit, policy: str, last_judgment: int, target: Path, attempt: str
) -> dict[str, Any]:
    """Write a release beside ``target``, then move it there whole; return its manifest.

    ``attempt`` names the folder written to, so that two attempts never share one. The target
    may be missing or empty; a folder with something in it is never written over.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{attempt}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        manifest = write_release(audit, policy, last_judgment, temporary)
        _sync_folder(temporary)
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


def export_release(audit: Audit, policy: str, last_judgment: int, target: Path) -> dict[str, Any]:
    """Write a release to a folder of the caller's, which must be new or empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ReleaseFolderError(f"{target} exists and is not an empty folder")
    return publish_release(audit, policy, last_judgment, target.resolve(), str(os.getpid()))


def write_release(audit: Audit, policy: str, last_judgment: int, folder: Path) -> dict[str, Any]:
    """Write the four files into an empty folder and return the manifest."""
    votes = load_votes(audit, last_judgment)
    names = dict(audit.dataset.classes.values_list("index", "name"))
    tally = Tally()
    pseudonyms = name_annotators(votes.values())
    with (
        _open_table(folder / LABELS, LABEL_COLUMNS) as (labels, labels_file),
        _open_table(folder / VOTES, VOTE_COLUMNS) as (votes_table, votes_file),
        _open_table(folder / PATCH, PATCH_COLUMNS) as (patch, patch_file),
    ):
        for row in read_rows(audit, policy, votes):
            tally.actions[row.decision.action] += 1
            tally.n_judged += bool(row.votes)
            labels.writerow(_label_columns(row, names))
            votes_table.writerows(_vote_columns(row, pseudonyms))
            if row.decision.is_change:
                patch.writerow(_patch_columns(row))
    files = {LABELS: labels_file, PATCH: patch_file, VOTES: votes_file}
    manifest = describe_release(audit, policy, last_judgment, tally)
    manifest["files"] = {name: file.describe() for name, file in files.items()}
    manifest["sha256"] = _hash_manifest(manifest)
    _write_whole(folder / MANIFEST, write_manifest(manifest))
    return manifest


def read_rows(
    audit: Audit, policy: str, votes: dict[int, list[StandingVote]]
) -> Iterator[LabelRow]:
    """Yield every item of the data set in its order, with its decision."""
    items = audit.dataset.items.order_by("position").values_list(
        "position", "key", "given_label", "quarantine_code"
    )
    for position, key, given_label, quarantine_code in items.iterator(chunk_size=CHUNK):
        standing = votes.get(position, [])
        if quarantine_code:
            reason = f"quarantined: {quarantine_code}"
            decision = Decision(Action.KEPT, "", given_label, reason=reason)
        elif standing:
            decision = decide(given_label, standing, policy)
        else:
            decision = Decision(Action.KEPT, "", given_label)
        yield LabelRow(key, given_label, decision, standing)


def name_annotators(votes: Iterable[list[StandingVote]]) -> dict[int, str]:
    """Return a pseudonym per annotator: numbered by first judgment, the same in every build."""
    ordered = sorted((vote for standing in votes for vote in standing), key=lambda v: v.judgment)
    people = dict.fromkeys(vote.annotator for vote in ordered)
    return {person: f"annotator-{number}" for number, person in enumerate(people, start=1)}


def describe_release(audit: Audit, policy: str, last_judgment: int, tally: Tally) -> dict[str, Any]:
    """Return where the labels come from: data, experts, sample, policy. No time, no person."""
    dataset = audit.dataset
    return {
        "format": FORMAT,
        "code_version": settings.LABEL_AUDIT_VERSION,
        "dataset": {
            "slug": dataset.slug,
            "sha256": dataset.sha256,
            "items": dataset.n_items,
            "classes": dataset.n_classes,
            "quarantined": dataset.n_quarantined,
            "notice": dataset.notice,
        },
        "audit": {
            "id": audit.pk,
            "sha256": audit.sha256,
            "bins": audit.n_bins,
            "bins_over": audit.bins_over,
            "calibrator": audit.calibrator,
            "require_agreement": audit.require_agreement,
            "seed": audit.seed,
        },
        "experts": [
            {
                "name": expert.name,
                "scores_sha256": expert.score_set.sha256,
                "card": expert.score_set.card,
                "calibration": expert.calibration,
            }
            for expert in audit.experts.select_related("score_set")
        ],
        "policy": {"name": str(policy), "errors": sorted(ERRORS[Policy(policy)])},
        "taxonomy": {"version": TAXONOMY_VERSION, "verdicts": dict(Verdict.choices)},
        "sample": _describe_sample(audit),
        "last_judgment": last_judgment,
        "last_judgment_sha256": _find_hash(last_judgment),
        "judged": tally.n_judged,
        "counts": {action.value: tally.actions[action] for action in Action},
    }


def _find_hash(judgment: int) -> str | None:
    """Return the newest judgment's hash, which covers all judgments of the audit before it."""
    return Judgment.objects.filter(pk=judgment).values_list("hash", flat=True).first()


def _describe_sample(audit: Audit) -> dict[str, Any] | None:
    sample = Sample.objects.filter(audit=audit).first()
    if sample is None:
        return None
    return {
        "seed": sample.seed,
        "votes_per_item": sample.votes_per_item,
        "items": sample.n_items,
        "strata": [
            {"name": row.name, "population": row.n_population, "drawn": row.n_drawn}
            for row in sample.strata.all()
        ],
    }


def write_manifest(manifest: dict[str, Any]) -> str:
    """Return the manifest's one and only spelling."""
    return json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def verify_release(folder: Path) -> list[str]:
    """Return what is wrong with a release folder, empty when every byte is as it was written."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        files = {str(name): dict(said) for name, said in manifest["files"].items()}
        is_intact = text == write_manifest(manifest) and manifest["sha256"] == _hash_manifest(
            manifest
        )
    except OSError as error:
        return [f"{MANIFEST} can't be read: {error.strerror}"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{MANIFEST} is damaged"]
    problems = [] if is_intact else [f"{MANIFEST} is damaged"]
    present = {path.name for path in folder.iterdir()}
    problems += [f"{name} is missing" for name in sorted(files.keys() - present)]
    problems += [f"{name} is not part of it" for name in sorted(present - {*files, MANIFEST})]
    for name in sorted(files.keys() & present):
        path = folder / name
        if path.is_symlink() or not path.is_file() or _hash_file(path) != files[name]:
            problems.append(f"{name} is changed")
    return problems


def _hash_manifest(manifest: dict[str, Any]) -> str:
    """Return the hash of everything in the manifest but the hash itself."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(write_manifest(rest).encode()).hexdigest()


def _hash_file(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"sha256": digest, "bytes": stream.tell()}


@contextmanager
def _open_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, HashedFile]]:
    """Open a CSV file for writing; its content is on disk when the block ends."""
    with path.open("xb") as stream:
        file = HashedFile(stream)
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        yield table, file
        stream.flush()
        os.fsync(stream.fileno())


def _write_whole(path: Path, text: str) -> None:
    with path.open("xb") as stream:
        stream.write(text.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a folder's names durable, not just its files' contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _label_columns(row: LabelRow, names: dict[int, str]) -> tuple[Any, ...]:
    decision = row.decision
    cleaned = decision.cleaned_label
    return (
        row.key,
        row.given_label,
        names.get(row.given_label, ""),
        "" if cleaned is None else cleaned,
        "" if cleaned is None else names.get(cleaned, ""),
        _join(decision.also_labels),
        decision.action.value,
        decision.verdict,
        decision.n_votes,
        decision.reason,
    )


def _vote_columns(row: LabelRow, pseudonyms: dict[int, str]) -> Iterator[tuple[Any, ...]]:
    for vote in row.votes:
        yield (
            row.key,
            vote.judgment,
            pseudonyms[vote.annotator],
            vote.verdict,
            "" if vote.corrected_label is None else vote.corrected_label,
            vote.decided_at.astimezone(UTC).isoformat(timespec="microseconds"),
        )


def _patch_columns(row: LabelRow) -> tuple[Any, ...]:
    cleaned = row.decision.cleaned_label
    return (
        row.key,
        row.given_label,
        "" if cleaned is None else cleaned,
        _join(row.decision.also_labels),
        row.decision.action.value,
        _join(vote.judgment for vote in row.votes),
    )


def _join(values: Iterable[int]) -> str:
    return ";".join(str(value) for value in values)
