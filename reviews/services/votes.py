"""Bring in votes from outside: all or nothing."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction

from audit.models import Act, Dataset
from audit.services.log import write_log
from reviews.models import JUDGE_PREFIX, Vote, VoteSource
from reviews.vote_files import LoadedVotes, VoteImportError, VoteTarget, read_votes

MAX_NAME = 50
BATCH = 1000


def import_votes(
    dataset: Dataset, path: Path | None, name: str, preset: str = ""
) -> tuple[VoteSource, LoadedVotes]:
    """Store the votes of a file as the source ``name``; a refused file leaves nothing.

    ``preset`` names the public file it is, otherwise it is a CSV of one vote per row. Returns
    the source, and what was made of the file.
    """
    if not dataset.has_classes:
        raise VoteImportError(f"{dataset} has no labels to vote on", code="classes")
    _check_name(dataset, name)
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
            write_log(
                Act.VOTES_IMPORTED,
                f"votes from {name} on {dataset.slug}",
                project=dataset.project,
                votes=source.n_votes,
                sha256=source.sha256,
            )
    except IntegrityError as error:
        if VoteSource.objects.filter(dataset=dataset, name=name).exists():
            raise VoteImportError(_taken(dataset, name), code="name") from error
        raise
    return source, loaded


def _check_name(dataset: Dataset, name: str) -> None:
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
