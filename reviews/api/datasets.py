"""Data sets: what was brought in, item by item, and the experts' scores of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from audit.derivatives import FULL_SIDE, THUMB_SIDE, load_derivative
from audit.images import UnusableImage, media_type
from audit.models import Dataset, DatasetClass, Item, Role, Scope, ScoreSet
from audit.services.progress import score_set_progress
from audit.services.scores import ScoresRefusedError, request_scores
from reviews.api.access import find_dataset, find_item, find_score_set
from reviews.api.errors import ApiError
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Document, Id, Page, Text, Window, cut

router = Router(tags=["data sets"])
PICTURE = {
    "responses": {
        200: {"description": "The picture", "content": {"image/png": {}, "image/jpeg": {}}}
    }
}


class DatasetDoc(Schema):
    """A labelled data set, frozen at import."""

    id: int
    project: int
    slug: str
    kind: Literal["image", "multiple_choice", "task"]
    format: str
    items: int
    classes: int
    quarantined: int
    notice: str
    sha256: str
    created_at: datetime


class ClassDoc(Schema):
    """One class, by the index that labels are."""

    index: int
    name: str
    wordnet_id: str
    gloss: str


class Quarantine(Schema):
    """Why an item takes no part."""

    code: str
    detail: str


class ItemDoc(Schema):
    """One item with the label that it was published with."""

    id: int
    position: int
    key: str
    given_label: int | None
    sha256: str
    subject: str
    question: str
    choices: list[str]
    width: int
    height: int
    notices: list[str]
    quarantine: Quarantine | None


class ItemWindow(Window):
    """Which part of the items, and which of them."""

    quarantined: bool | None = Field(None, description="Only those that are, or that aren't.")


class ScoresDoc(Document):
    """How far an expert's scores of a data set are."""

    id: int
    dataset: int
    expert: str
    source: str
    state: Literal["scoring", "ready", "failed", "cancelled"]
    sha256: str
    done: int
    total: int


class NewScores(Body):
    """Which expert shall score the data set."""

    expert: Text = Field(min_length=1, max_length=255, examples=["timm:resnet18"])


@route(router, "GET", "/datasets", Scope.READ, Page[DatasetDoc])
def list_datasets(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """List the data sets that the person may audit."""
    datasets = Dataset.objects.open_to(person(request), Role.MAINTAINER)
    return cut(datasets, window, write_dataset)


@route(router, "GET", "/datasets/{dataset}", Scope.READ, DatasetDoc)
def read_dataset(request: HttpRequest, dataset: Id) -> dict[str, Any]:
    """Show one data set."""
    return write_dataset(find_dataset(request, dataset))


@route(router, "GET", "/datasets/{dataset}/classes", Scope.READ, Page[ClassDoc])
def list_classes(request: HttpRequest, dataset: Id, window: Query[Window]) -> dict[str, Any]:
    """List a data set's classes."""
    return cut(find_dataset(request, dataset).classes.all(), window, write_class)


@route(router, "GET", "/datasets/{dataset}/items", Scope.READ, Page[ItemDoc])
def list_items(request: HttpRequest, dataset: Id, window: Query[ItemWindow]) -> dict[str, Any]:
    """List a data set's items, quarantined ones with the reason."""
    items = Item.objects.filter(dataset=find_dataset(request, dataset))
    if window.quarantined is not None:
        items = items.quarantined() if window.quarantined else items.usable()
    return cut(items, window, write_item)


@route(router, "GET", "/datasets/{dataset}/scores", Scope.READ, Page[ScoresDoc])
def list_scores(request: HttpRequest, dataset: Id, window: Query[Window]) -> dict[str, Any]:
    """List the experts that have scored a data set, or are about to."""
    score_sets = find_dataset(request, dataset).score_sets.select_related("dataset")
    return cut(score_sets, window, write_scores)


@route(
    router, "POST", "/datasets/{dataset}/scores", Scope.MANAGE, ScoresDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def order_scores(request: HttpRequest, dataset: Id, body: NewScores) -> Any:
    """Have an expert score a data set; scores that are there are reused."""
    found = find_dataset(request, dataset)
    try:
        return write_scores(request_scores(found, body.expert))
    except ScoresRefusedError as refusal:
        raise ApiError(409, "refused", str(refusal), col="expert") from refusal


@route(router, "GET", "/scores/{scores}", Scope.READ, ScoresDoc)
def read_scores(request: HttpRequest, scores: Id) -> dict[str, Any]:
    """Show how far an expert's scores are."""
    return write_scores(find_score_set(request, scores))


@route(router, "GET", "/items/{item}/image", Scope.JUDGE, None, openapi_extra=PICTURE)
def read_image(request: HttpRequest, item: Id) -> HttpResponse:
    """Send an item's whole picture."""
    return send_picture(find_item(request, item), FULL_SIDE)


@route(router, "GET", "/items/{item}/thumb", Scope.JUDGE, None, openapi_extra=PICTURE)
def read_thumb(request: HttpRequest, item: Id) -> HttpResponse:
    """Send a small version of an item's picture."""
    return send_picture(find_item(request, item), THUMB_SIDE)


def send_picture(item: Item, side: int) -> HttpResponse:
    """Answer with an item's picture; neither its name nor its hash goes along."""
    try:
        content = load_derivative(item, side)
    except UnusableImage as error:
        raise Http404("this picture can't be shown") from error
    return HttpResponse(content, content_type=media_type(content))


def write_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return a data set as JSON."""
    return {
        "id": dataset.pk,
        "project": dataset.project_id,
        "slug": dataset.slug,
        "kind": dataset.kind,
        "format": dataset.source_format,
        "items": dataset.n_items,
        "classes": dataset.n_classes,
        "quarantined": dataset.n_quarantined,
        "notice": dataset.notice,
        "sha256": dataset.sha256,
        "created_at": dataset.created_at,
    }


def write_class(each: DatasetClass) -> dict[str, Any]:
    """Return a class as JSON."""
    words = {"name": each.name, "wordnet_id": each.wordnet_id, "gloss": each.gloss}
    return {"index": each.index, **words}


def write_item(item: Item) -> dict[str, Any]:
    """Return an item as JSON."""
    why = {"code": item.quarantine_code, "detail": item.quarantine_detail}
    return {
        "id": item.pk,
        "position": item.position,
        "key": item.key,
        "given_label": item.given_label,
        "sha256": item.content_sha256,
        "subject": item.subject,
        "question": item.question,
        "choices": item.choices,
        "width": item.width,
        "height": item.height,
        "notices": item.notices,
        "quarantine": why if item.is_quarantined else None,
    }


def write_scores(score_set: ScoreSet) -> dict[str, Any]:
    """Return an expert's scores as JSON, with how far they are."""
    dataset = score_set.dataset
    progress = asdict(score_set_progress(score_set, dataset.n_items))
    del progress["name"]
    own = {"expert": score_set.expert, "sha256": score_set.sha256}
    return {"id": score_set.pk, "dataset": dataset.pk, **own, **progress}
