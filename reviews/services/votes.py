"""Bring in votes from outside: strictly read, all or nothing."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction

from audit.models import Dataset
from reviews.models import Verdict, Vote, VoteSource

LABELS = "labels"
VERDICT = "verdict"
HEADERS = (["key", "annotator", LABELS], ["key", "annotator", VERDICT])
VERDICTS = frozenset(Verdict.values) - {Verdict.WITHDRAWN}
MAX_ANNOTATOR = 120
MAX_NAME = 50
BATCH = 1000


class VoteImportError(ValueError):
    """The file can't be taken: which row (the header is row 1) and why."""

    def __init__(self, reason: str, row: int | None = None, code: str = "votes") -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.code = code

    def __str__(self) -> str:
        return self.reason if self.row is None else f"row {self.row}: {self.reason}"


def import_votes(dataset: Dataset, path: Path, name: str) -> VoteSource:
    """Store the votes of a CSV file as the source ``name``; a refused file leaves nothing.

    ``key,annotator,labels`` (class indices that hold, separated by ";", empty = none holds) or
    ``key,annotator,verdict``.
    """
    if not dataset.has_classes:
        raise VoteImportError(f"{dataset} has no labels to vote on", code="classes")
    _check_name(dataset, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VoteImportError(f"{path} can't be read: {error.strerror}", code="file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise VoteImportError(f"not UTF-8 at byte {error.start}", code="encoding") from error
    votes = list(_read_votes(dataset, text))
    if not votes:
        raise VoteImportError("the file holds no vote", code="empty")
    try:
        with transaction.atomic():
            source = VoteSource.objects.create(
                dataset=dataset,
                name=name,
                n_votes=len(votes),
                n_items=len({vote.item_id for vote in votes}),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for vote in votes:
                vote.source = source
            Vote.objects.bulk_create(votes, batch_size=BATCH)
    except IntegrityError as error:
        if VoteSource.objects.filter(dataset=dataset, name=name).exists():
            raise VoteImportError(_taken(dataset, name), code="name") from error
        raise
    return source


def _check_name(dataset: Dataset, name: str) -> None:
    try:
        validate_slug(name)
    except ValidationError as error:
        raise VoteImportError(
            f"a source's name is letters, digits, hyphens and underscores, got {name!r}",
            code="name",
        ) from error
    if len(name) > MAX_NAME:
        raise VoteImportError(f"a source's name has at most {MAX_NAME} characters", code="name")
    if VoteSource.objects.filter(dataset=dataset, name=name).exists():
        raise VoteImportError(_taken(dataset, name), code="name")


def _taken(dataset: Dataset, name: str) -> str:
    return f"{dataset} has votes from {name!r} already"


def _read_votes(dataset: Dataset, text: str) -> Iterator[Vote]:
    """Yield one unsaved vote per row, in file order."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    keys = dict(dataset.items.values_list("key", "pk"))
    seen: set[tuple[int, str]] = set()
    header: list[str] | None = None
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            if header is None:
                header = _check_header(row)
                continue
            vote = _read_vote(row, header[2], keys, dataset.n_classes, number)
            if (vote.item_id, vote.annotator) in seen:
                raise VoteImportError(
                    f"{vote.annotator!r} votes on {row[0]!r} a second time", number, "duplicate"
                )
            seen.add((vote.item_id, vote.annotator))
            yield vote
    except csv.Error as error:
        raise VoteImportError(f"not CSV: {error}", number + 1, "csv") from error


def _check_header(row: list[str]) -> list[str]:
    if row not in HEADERS:
        allowed = " or ".join(",".join(header) for header in HEADERS)
        raise VoteImportError(f"the header is {','.join(row)!r}, not {allowed}", 1, "header")
    return row


def _read_vote(
    row: list[str], kind: str, keys: dict[str, int], n_classes: int, number: int
) -> Vote:
    if len(row) != 3:
        raise VoteImportError(f"{len(row)} fields instead of 3", number, "fields")
    key, annotator, said = row
    if key not in keys:
        raise VoteImportError(f"the data set has no item {key!r}", number, "key")
    if not annotator.strip() or len(annotator) > MAX_ANNOTATOR or not annotator.isprintable():
        raise VoteImportError(
            f"an annotator is 1 to {MAX_ANNOTATOR} printable characters, got {annotator[:40]!r}",
            number,
            "annotator",
        )
    if kind == LABELS:
        return Vote(
            item_id=keys[key], annotator=annotator, labels=_read_labels(said, n_classes, number)
        )
    if said not in VERDICTS:
        known = ", ".join(sorted(VERDICTS))
        raise VoteImportError(f"{said!r} is not a verdict; known: {known}", number, "verdict")
    return Vote(item_id=keys[key], annotator=annotator, verdict=said)


def _read_labels(said: str, n_classes: int, number: int) -> list[int]:
    """Return the class indices in ascending order; empty when no class holds."""
    labels = []
    for part in said.split(";") if said else []:
        if not (part.isascii() and part.isdigit() and len(part) <= 9) or int(part) >= n_classes:
            raise VoteImportError(
                f"{part!r} is not a class index from 0 to {n_classes - 1}", number, "label"
            )
        labels.append(int(part))
    if len(set(labels)) != len(labels):
        raise VoteImportError(f"{said!r} names a class twice", number, "label")
    return sorted(labels)
