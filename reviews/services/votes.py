"""Bring in votes from outside: all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction

from audit.loaders.base import refuse
from audit.models import Act, Dataset, Import
from audit.services.imports import Held, bring_in, check_paths, record_import
from audit.services.log import write_log
from audit.services.sent_requests import Sent
from reviews.models import JUDGE_PREFIX, Vote, VoteSource
from reviews.vote_files import LoadedVotes, VoteImportError, VoteTarget, read_votes

MAX_NAME = 50
TABLE = "table"
"""The format of a file that is no public one: a CSV of one vote per row."""
BATCH = 1000


def import_votes(
    dataset: Dataset,
    path: Path | None,
    name: str,
    preset: str = "",
    *,
    person: User | None = None,
    finish: Callable[[VoteSource, LoadedVotes], None] = lambda _source, _loaded: None,
) -> tuple[VoteSource, LoadedVotes]:
    """Store the votes of a file as the source ``name``; a refused file leaves nothing.

    ``preset`` names the public file it is, otherwise it is a CSV of one vote per row. Returns
    the source, and what was made of the file. ``finish`` is called in the transaction that stores
    them: what it raises undoes it all.
    """
    check_source(dataset, name)
    loaded = read_votes(path, VoteTarget.of(dataset), preset)
    if not loaded.votes:
        raise VoteImportError("the file holds no vote", code="empty")
    try:
        with transaction.atomic():
            source = VoteSource.objects.create(
                dataset=dataset,
                name=name,
                n_votes=len(loaded.votes),
                n_items=len({vote.item for vote in loaded.votes}),
                knows_annotators=loaded.knows_annotators,
                sha256=loaded.sha256,
            )
            Vote.objects.bulk_create(
                [
                    Vote(
                        source=source,
                        item_id=vote.item,
                        annotator=vote.annotator,
                        labels=None if vote.labels is None else list(vote.labels),
                        verdict=vote.verdict,
                    )
                    for vote in loaded.votes
                ],
                batch_size=BATCH,
            )
            finish(source, loaded)
            write_log(
                Act.VOTES_IMPORTED,
                f"votes from {name} on {dataset.slug}",
                person=person,
                project=dataset.project,
                votes=source.n_votes,
                sha256=source.sha256,
            )
    except IntegrityError as error:
        if VoteSource.objects.filter(dataset=dataset, name=name).exists():
            raise VoteImportError(_taken(dataset, name), code="name") from error
        raise
    return source, loaded


def describe_votes(source: VoteSource, loaded: LoadedVotes) -> dict[str, Any]:
    """Return what was made of a file, as JSON."""
    return {
        "source": source.name,
        "votes": source.n_votes,
        "items": source.n_items,
        "notices": list(loaded.notices),
        "normalised": {
            spelling: {"to": meaning, "count": count}
            for spelling, (meaning, count) in loaded.normalised.items()
        },
        "left_out": dict(loaded.left_out),
        "sha256": source.sha256,
    }


def order_votes_import(
    dataset: Dataset,
    name: str,
    order: Mapping[str, str],
    person: User | None = None,
    sent: Sent | None = None,
) -> Import:
    """Record that votes shall be brought in from an open folder; `order`: format, path."""
    check_paths(order)
    check_source(dataset, name)
    row = Import(kind=Import.Kind.VOTES, project=dataset.project, dataset=dataset, name=name)
    row.order = dict(order)
    return record_import(row, person, sent)


def run_votes_import(import_id: int) -> bool:
    """Do one pending import of votes; False when there is nothing to do or it was refused."""
    return bring_in(Import.objects.of_votes().filter(pk=import_id), _bring_votes)


def _bring_votes(held: Held) -> None:
    row = held.row
    assert row.dataset is not None  # noqa: S101 - of votes it is known from the beginning
    preset = row.order["format"]
    try:
        import_votes(
            row.dataset,
            held.paths.get("path"),
            row.name,
            "" if preset == TABLE else preset,
            person=row.created_by,
            finish=lambda source, loaded: held.finish(found=describe_votes(source, loaded)),
        )
    except VoteImportError as error:
        raise refuse(error.code, error.reason, row=error.row) from error


def check_source(dataset: Dataset, name: str) -> None:
    """Refuse a data set that has nothing to vote on, and a name that can't be or is taken."""
    if not dataset.has_classes:
        raise VoteImportError(f"{dataset} has no labels to vote on", code="classes")
    try:
        validate_slug(name)
    except ValidationError as error:
        raise VoteImportError(
            f"a source's name is letters, digits, hyphens and underscores, got {name!r}",
            code="name",
        ) from error
    if name.startswith(JUDGE_PREFIX):
        message = f"names with {JUDGE_PREFIX!r} are for judge models' replies"
        raise VoteImportError(message, code="name")
    if len(name) > MAX_NAME:
        raise VoteImportError(f"a source's name has at most {MAX_NAME} characters", code="name")
    if VoteSource.objects.filter(dataset=dataset, name=name).exists():
        raise VoteImportError(_taken(dataset, name), code="name")


def _taken(dataset: Dataset, name: str) -> str:
    return f"{dataset} has votes from {name!r} already"
