"""Imports: a worker brings files in from folders of the server that are open for it.

Data sets, scores that experts computed elsewhere, and outside votes; nothing from an address.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import Import, Role, Scope
from audit.services import claims
from audit.services.imports import (
    ImportNotAllowedError,
    order_import,
    order_scores_import,
    resume_import,
)
from audit.services.sent_requests import Sent
from reviews.api.access import find_dataset, find_import, find_project
from reviews.api.errors import ApiError
from reviews.api.keys import IdempotencyKey, make_once
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Id, Page, Text, Window, Work, WorkChanged, cut, write_change
from reviews.models import VoteSource
from reviews.services.votes import order_votes_import
from reviews.vote_files import VoteImportError

router = Router(tags=["imports"])
MOST_PATH = 1000


class Format(StrEnum):
    """In which format the files are."""

    HF = "hf"
    IMAGEFOLDER = "imagefolder"
    IMAGENET = "imagenet"
    JSONL_MCQ = "jsonl-mcq"
    MANIFEST = "manifest"
    MMLU = "mmlu"
    TASKS = "tasks"
    WEBDATASET = "webdataset"


class ScoreKind(StrEnum):
    """What the scores are, or what they are read from."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log-probabilities"
    TOP_K = "top-k"
    SHARDS = "shards"
    CORRECTNESS = "correctness"
    GENERATIONS = "generations"


class Verifier(StrEnum):
    """How an answer that a model wrote is found right."""

    NUMBER = "number"
    OPTION = "option"
    IMPORTED = "imported"


class VoteFormat(StrEnum):
    """A CSV of one vote per row, or which public file it is."""

    TABLE = "table"
    REAL = "real"
    LABEL_ERRORS = "label-errors"
    MMLU_REDUX = "mmlu-redux"


class NewImport(Body):
    """What to bring in; paths lie below a folder that the installation opens for imports."""

    slug: str = Field(min_length=1, max_length=50, pattern="^[A-Za-z0-9_-]+$")
    format: Format
    path: Text = Field(min_length=1, max_length=MOST_PATH)
    classes: Text = Field("", max_length=MOST_PATH, description="Class names, one per line.")
    root: Text = Field("", max_length=MOST_PATH, description="What image paths are relative to.")
    split: Text = Field("", max_length=100, description="Of several, the one to take.")
    notice: Text = Field("", max_length=2000, description="What every page must say.")


class NewScoresImport(Body):
    """Which expert's scores to bring in, and what they are."""

    expert: Text = Field(min_length=1, max_length=255, description="The name the expert gets.")
    format: ScoreKind = ScoreKind.LOGITS
    path: Text = Field(min_length=1, max_length=MOST_PATH)
    verifier: Verifier = Field(Verifier.NUMBER, description="Of generations.")
    references: Text = Field(
        "", max_length=MOST_PATH, description="Of generations: the right answers (key,reference)."
    )


class NewVotesImport(Body):
    """What to call the votes, and in which file they are."""

    source: str = Field(min_length=1, max_length=50, pattern="^[A-Za-z0-9_-]+$")
    format: VoteFormat = VoteFormat.TABLE
    path: Text = Field("", max_length=MOST_PATH, description="Left out, real is timm's own copy.")


class Refusal(Schema):
    """The first thing that is wrong with a file, and where."""

    code: str
    row: int | None
    col: str | None


class ImportDoc(Schema):
    """How far an import is, and at the end what came of it, or the refusal."""

    id: int
    project: int
    kind: Literal["dataset", "scores", "votes"]
    name: str = Field(description="Of the data set, the expert or the source of votes.")
    format: str
    work: Work
    done: int
    items: int
    dataset: int | None = Field(description="Of a data set: once it is there.")
    scores: int | None
    found: dict[str, Any] = Field(description="What was made of the files: notices, counts.")
    error: str
    refusal: Refusal | None
    created_at: datetime


class SourceDoc(Schema):
    """Outside votes on a data set; a report takes them as the truth `votes:NAME`."""

    id: int
    dataset: int
    name: str
    kind: Literal["imported", "judge"]
    votes: int
    items: int
    knows_annotators: bool
    sha256: str
    created_at: datetime


@route(router, "GET", "/projects/{project}/imports", Scope.READ, Page[ImportDoc])
def list_imports(request: HttpRequest, project: Id, window: Query[Window]) -> dict[str, Any]:
    """List a project's imports, the oldest first."""
    found = find_project(request, project, Role.MAINTAINER)
    return cut(Import.objects.filter(project=found), window, write_import)


@route(
    router, "POST", "/projects/{project}/imports", Scope.MANAGE, ImportDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def create_import(
    request: HttpRequest,
    response: HttpResponse,
    project: Id,
    body: NewImport,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Have a worker bring a data set in from a folder of the server."""
    found = find_project(request, project, Role.MAINTAINER)
    order = body.model_dump(mode="json", exclude={"slug"})

    def make(sent: Sent | None) -> Import:
        return order_import(found, body.slug, order, person(request), sent)

    return order_once(request, response, idempotency_key, body, make)


@route(
    router, "POST", "/datasets/{dataset}/scores/imports", Scope.MANAGE, ImportDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def import_scores(
    request: HttpRequest,
    response: HttpResponse,
    dataset: Id,
    body: NewScoresImport,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Have a worker bring in scores that an expert computed elsewhere."""
    found = find_dataset(request, dataset)
    if body.references and body.format != ScoreKind.GENERATIONS:
        raise ApiError(422, "invalid", "references: of generations alone", col="references")
    order = body.model_dump(mode="json", exclude={"expert"})

    def make(sent: Sent | None) -> Import:
        return order_scores_import(found, body.expert, order, person(request), sent)

    return order_once(request, response, idempotency_key, body, make)


@route(router, "GET", "/datasets/{dataset}/votes", Scope.READ, Page[SourceDoc])
def list_sources(request: HttpRequest, dataset: Id, window: Query[Window]) -> dict[str, Any]:
    """List the sources of outside votes on a data set."""
    return cut(find_dataset(request, dataset).vote_sources.all(), window, write_source)


@route(
    router, "POST", "/datasets/{dataset}/votes/imports", Scope.MANAGE, ImportDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def import_votes(
    request: HttpRequest,
    response: HttpResponse,
    dataset: Id,
    body: NewVotesImport,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Have a worker bring in outside votes on a data set."""
    found = find_dataset(request, dataset)
    if not body.path and body.format != VoteFormat.REAL:
        raise ApiError(422, "invalid", "path: say which file it is", col="path")
    order = body.model_dump(mode="json", exclude={"source"})

    def make(sent: Sent | None) -> Import:
        return order_votes_import(found, body.source, order, person(request), sent)

    return order_once(request, response, idempotency_key, body, make)


@route(router, "GET", "/imports/{number}", Scope.READ, ImportDoc)
def read_import(request: HttpRequest, number: Id) -> dict[str, Any]:
    """Show how far an import is."""
    return write_import(find_import(request, number))


@route(router, "POST", "/imports/{number}/cancel", Scope.MANAGE, WorkChanged)
def stop_import(request: HttpRequest, number: Id) -> dict[str, Any]:
    """Stop an import; nothing of it is stored."""
    found = find_import(request, number)
    return write_change(found, changed=claims.cancel(found))


@route(router, "POST", "/imports/{number}/resume", Scope.MANAGE, WorkChanged)
def continue_import(request: HttpRequest, number: Id) -> dict[str, Any]:
    """Have a cancelled or refused import done after all, from its beginning."""
    found = find_import(request, number)
    return write_change(found, changed=resume_import(found))


def order_once(
    request: HttpRequest,
    response: HttpResponse,
    key: str | None,
    body: Body,
    make: Callable[[Sent | None], Import],
) -> dict[str, Any]:
    """Return the import that `make` orders, or say why it can't be ordered."""
    rows = Import.objects.open_to(person(request), Role.MAINTAINER)
    try:
        return write_import(make_once(request, response, key, body, make, rows))
    except (ImportNotAllowedError, VoteImportError) as refusal:
        raise ApiError(409, "refused", str(refusal)) from refusal


def write_import(row: Import) -> dict[str, Any]:
    """Return an import as JSON; the server's own paths stay with it."""
    return {
        "id": row.pk,
        "project": row.project_id,
        "kind": row.kind,
        "name": row.name,
        "format": row.order["format"],
        "work": row.work,
        "done": row.n_done,
        "items": row.n_items,
        "dataset": row.dataset_id,
        "scores": row.score_set_id,
        "found": row.found,
        "error": row.error,
        "refusal": row.refusal or None,
        "created_at": row.created_at,
    }


def write_source(source: VoteSource) -> dict[str, Any]:
    """Return a source of outside votes as JSON."""
    return {
        "id": source.pk,
        "dataset": source.dataset_id,
        "name": source.name,
        "kind": source.kind,
        "votes": source.n_votes,
        "items": source.n_items,
        "knows_annotators": source.knows_annotators,
        "sha256": source.sha256,
        "created_at": source.created_at,
    }
