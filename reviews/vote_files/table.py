"""Votes as a CSV of one vote per row, strictly read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from reviews.models import QuestionVerdict, Verdict
from reviews.vote_files.base import (
    LoadedVote,
    LoadedVotes,
    VoteImportError,
    VoteTarget,
    hash_of,
    read_bytes,
)

LABELS = "labels"
VERDICT = "verdict"
HEADERS = (["key", "annotator", LABELS], ["key", "annotator", VERDICT])
PICTURE_VERDICTS = frozenset(Verdict.values) - {Verdict.WITHDRAWN}
MAX_ANNOTATOR = 120


def read_table(path: Path | None, target: VoteTarget) -> LoadedVotes:
    """Return the votes of a CSV; the first row that can't be read refuses all of it.

    ``key,annotator,labels`` (class indices that hold, separated by ";", empty = none holds) or
    ``key,annotator,verdict``.
    """
    if path is None:
        raise VoteImportError("which file? only --preset real brings its own", code="file")
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise VoteImportError(f"not UTF-8 at byte {error.start}", code="encoding") from error
    return LoadedVotes(list(_read_rows(text, target)), hash_of(content))


def _read_rows(text: str, target: VoteTarget) -> Iterator[LoadedVote]:
    """Yield one vote per row, in file order."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    pks = dict(zip(target.keys, target.pks, strict=True))
    seen: set[tuple[int, str]] = set()
    header: list[str] | None = None
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            if header is None:
                header = _check_header(row)
                continue
            vote = _read_row(row, header[2], pks, target, number)
            if (vote.item, vote.annotator) in seen:
                raise VoteImportError(
                    f"{vote.annotator!r} votes on {row[0]!r} a second time", number, "duplicate"
                )
            seen.add((vote.item, vote.annotator))
            yield vote
    except csv.Error as error:
        raise VoteImportError(f"not CSV: {error}", number + 1, "csv") from error


def _check_header(row: list[str]) -> list[str]:
    if row not in HEADERS:
        allowed = " or ".join(",".join(header) for header in HEADERS)
        raise VoteImportError(f"the header is {','.join(row)!r}, not {allowed}", 1, "header")
    return row


def _read_row(
    row: list[str], kind: str, pks: dict[str, int], target: VoteTarget, number: int
) -> LoadedVote:
    if len(row) != 3:
        raise VoteImportError(f"{len(row)} fields instead of 3", number, "fields")
    key, annotator, said = row
    if key not in pks:
        raise VoteImportError(f"the data set has no item {key!r}", number, "key")
    if not annotator.strip() or len(annotator) > MAX_ANNOTATOR or not annotator.isprintable():
        raise VoteImportError(
            f"an annotator is 1 to {MAX_ANNOTATOR} printable characters, got {annotator[:40]!r}",
            number,
            "annotator",
        )
    if kind == LABELS:
        return LoadedVote(pks[key], annotator, _read_labels(said, target.n_classes, number))
    verdicts = PICTURE_VERDICTS
    if target.dataset.kind == target.dataset.Kind.MULTIPLE_CHOICE:
        verdicts |= frozenset(QuestionVerdict.values)
    if said not in verdicts:
        known = ", ".join(sorted(verdicts))
        raise VoteImportError(f"{said!r} is not a verdict; known: {known}", number, "verdict")
    return LoadedVote(pks[key], annotator, verdict=said)


def _read_labels(said: str, n_classes: int, number: int) -> tuple[int, ...]:
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
    return tuple(sorted(labels))
