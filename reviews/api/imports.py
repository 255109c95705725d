"""Imports: a worker brings a data set in from a folder of the server that is open for it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from audit.models import DatasetImport, Role, Scope
from audit.services.imports import ImportNotAllowedError, order_import
from reviews.api.access import find_project
from reviews.api.errors import ApiError
from reviews.api.routes import person, route
from reviews.api.shapes import Body, Id, Page, Text, Window, cut

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


class NewImport(Body):
    """What to bring in; paths lie below a folder that the installation opens for imports."""

    slug: str = Field(min_length=1, max_length=50, pattern="^[A-Za-z0-9_-]+$")
    format: Format
    path: Text = Field(min_length=1, max_length=MOST_PATH)
    classes: Text = Field("", max_length=MOST_PATH, description="Class names, one per line.")
    root: Text = Field("", max_length=MOST_PATH, description="What image paths are relative to.")
    split: Text = Field("", max_length=100, description="Of several, the one to take.")
    notice: Text = Field("", max_length=2000, description="What every page must say.")


class Refusal(Schema):
    """The first thing that is wrong with a file, and where."""

    code: str
    row: int | None
    col: str | None


class ImportDoc(Schema):
    """How far an import is; `dataset` once it is there, `refusal` where it is refused."""

    id: int
    project: int
    slug: str
    format: str
    work: Literal["pending", "running", "done", "failed", "cancelled"]
    done: int
    items: int
    dataset: int | None
    error: str
    refusal: Refusal | None
    created_at: datetime


@route(router, "GET", "/projects/{project}/imports", Scope.READ, Page[ImportDoc])
def list_imports(request: HttpRequest, project: Id, window: Query[Window]) -> dict[str, Any]:
    """List a project's imports, the oldest first."""
    found = find_project(request, project, Role.MAINTAINER)
    return cut(DatasetImport.objects.filter(project=found), window, write_import)


@route(
    router, "POST", "/projects/{project}/imports", Scope.MANAGE, ImportDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def create_import(request: HttpRequest, project: Id, body: NewImport) -> dict[str, Any]:
    """Have a worker bring a data set in from a folder of the server."""
    found = find_project(request, project, Role.MAINTAINER)
    order = body.model_dump(mode="json", exclude={"slug"})
    try:
        return write_import(order_import(found, body.slug, order, person(request)))
    except ImportNotAllowedError as refusal:
        raise ApiError(409, "refused", str(refusal)) from refusal


@route(router, "GET", "/imports/{number}", Scope.READ, ImportDoc)
def read_import(request: HttpRequest, number: Id) -> dict[str, Any]:
    """Show how far an import is."""
    rows = DatasetImport.objects.open_to(person(request), Role.MAINTAINER)
    return write_import(get_object_or_404(rows, pk=number))


def write_import(row: DatasetImport) -> dict[str, Any]:
    """Return an import as JSON; the server's own paths stay with it."""
    return {
        "id": row.pk,
        "project": row.project_id,
        "slug": row.slug,
        "format": row.order["format"],
        "work": row.work,
        "done": row.n_done,
        "items": row.n_items,
        "dataset": row.dataset_id,
        "error": row.error,
        "refusal": row.refusal or None,
        "created_at": row.created_at,
    }
