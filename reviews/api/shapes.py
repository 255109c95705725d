"""Shapes that many operations share: numbers and texts that a database takes, pages of a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

from django.db import models
from ninja import Path, Schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from audit.models import Claimable

LARGEST = 2**63 - 1
MOST_ROWS = 500

Row = TypeVar("Row")
RowModel = TypeVar("RowModel", bound=models.Model)


def check_text(text: str) -> str:
    """Refuse what not every database can store: NUL, and halves of characters."""
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("holds a character that can't be stored")
    return text


Id = Annotated[int, Path(ge=1, le=LARGEST)]
Text = Annotated[str, AfterValidator(check_text)]
Work = Literal["pending", "running", "done", "failed", "cancelled"]


class Body(Schema):
    """What somebody sends. A name that there isn't is refused."""

    model_config = ConfigDict(extra="forbid")


class Window(Schema):
    """Which part of a list is wanted."""

    limit: int = Field(100, ge=1, le=MOST_ROWS, description="At most so many.")
    cursor: int = Field(0, ge=0, le=LARGEST, description="`next` of the part before.")


class Page(Schema, Generic[Row]):
    """A part of a list, and where the next one begins: null after the last."""

    items: list[Row]
    next: int | None


class WorkChanged(Schema):
    """Whether there was anything to stop or to take up, and how far the work is now."""

    changed: bool
    work: Work


def write_change(row: Claimable, *, changed: bool) -> dict[str, Any]:
    """Return how far a worker's work is after somebody stopped it or took it up."""
    row.refresh_from_db(fields=["work"])
    return {"changed": changed, "work": row.work}


def cut(
    rows: models.QuerySet[RowModel],
    window: Window,
    write: Callable[[RowModel], Any],
    place: str = "pk",
) -> dict[str, Any]:
    """Return the part of a query that a window shows.

    Rows come by `place`, a whole number that no two of them share: a part is found at once
    however far down it is, and rows that come in meanwhile shift nothing.
    """
    found = list(rows.filter(**{f"{place}__gt": window.cursor}).order_by(place)[: window.limit + 1])
    shown = found[: window.limit]
    has_more = len(found) > window.limit
    last = getattr(shown[-1], place) if has_more else None
    return {"items": [write(row) for row in shown], "next": last}


class Document(BaseModel):
    """A document with more in it than the names that are promised here.

    Not one of ninja's own, which would leave out what they don't name.
    """

    model_config = ConfigDict(extra="allow")
