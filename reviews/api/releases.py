"""Releases: ordered, watched, downloaded, verified, compared."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Header, Query, Router, Schema
from pydantic import Field

from audit.hashed_folders import verify_folder
from audit.models import Scope
from audit.services import claims
from audit.services.sent_requests import Sent
from reviews.api.access import (
    find_audit,
    find_finished_release,
    find_ready_audit,
    find_release,
)
from reviews.api.errors import ApiError
from reviews.api.keys import IdempotencyKey, make_once
from reviews.api.routes import person, route
from reviews.api.shapes import (
    Body,
    Document,
    Id,
    Page,
    Text,
    Window,
    Work,
    WorkChanged,
    cut,
    write_change,
)
from reviews.downloads import send_archive, send_file
from reviews.models import Release
from reviews.policies import PolicyError
from reviews.release_diffs import Moment, describe_differences
from reviews.release_files import release_folder
from reviews.release_formats import DEFAULT_FORMATS, FORMATS, FormatRefusedError
from reviews.services.releases import (
    ReleaseRefusedError,
    order_release,
    policy_of,
    snapshot_of,
)

router = Router(tags=["releases"])
FILE = {
    "responses": {
        200: {"description": "The whole of it", "content": {"*/*": {}}},
        206: {"description": "The range that was asked for", "content": {"*/*": {}}},
        304: {"description": "You have it: its ETag is the same."},
        416: {"description": "Nothing lies in that range."},
    }
}
Range = Annotated[str | None, Header(alias="Range", description="bytes=FIRST-LAST, one range.")]


class ReleaseDoc(Schema):
    """How far a build of cleaned label files is."""

    id: int
    audit: int
    number: int
    policy: str
    policy_version: int
    formats: list[str]
    work: Work
    written: int
    error: str
    last_judgment: int
    last_adjudication: int
    created_at: datetime
    sha256: str | None
    files: dict[str, dict[str, Any]]


class NewRelease(Body):
    """By which policy, and in which formats."""

    policy: Text = Field("lenient", max_length=50)
    formats: list[Text] = Field(
        default_factory=lambda: list(DEFAULT_FORMATS),
        min_length=1,
        max_length=len(FORMATS),
        description=f"Any of: {', '.join(FORMATS)}.",
    )


class Verified(Schema):
    """Whether every byte is as it was written, as `verify_export --json` prints it."""

    intact: bool
    problems: list[str]


class Compared(Schema):
    """Which two releases, by their numbers."""

    before: int = Field(ge=1, le=2**31 - 1)
    after: int = Field(ge=1, le=2**31 - 1)


class Difference(Document):
    """What differs, as `diff_releases --json` prints it."""

    audit: int
    before: int
    after: int
    items: int
    moves: list[dict[str, Any]]
    shown: list[dict[str, Any]]


@route(router, "GET", "/audits/{audit}/releases", Scope.RELEASE, Page[ReleaseDoc])
def list_releases(request: HttpRequest, audit: Id, window: Query[Window]) -> dict[str, Any]:
    """List an audit's releases, the oldest first."""
    rows = Release.objects.filter(audit=find_audit(request, audit))
    return cut(rows, window, write_release)


@route(
    router, "POST", "/audits/{audit}/releases", Scope.RELEASE, ReleaseDoc, status=201,
    refusals=(409,),
)  # fmt: skip
def create_release(
    request: HttpRequest,
    response: HttpResponse,
    audit: Id,
    body: NewRelease,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Have a worker build a release of what is decided so far."""
    found = find_ready_audit(request, audit)
    unknown = [name for name in body.formats if name not in FORMATS]
    if unknown:
        message = f"formats: {unknown[0]!r} is not one of: {', '.join(FORMATS)}"
        raise ApiError(422, "invalid", message, col="formats")

    def make(sent: Sent | None) -> Release:
        return order_release(found, body.policy, person(request), body.formats, sent)

    try:
        rows = Release.objects.filter(audit=found)
        return write_release(make_once(request, response, idempotency_key, body, make, rows))
    except PolicyError as error:
        raise ApiError(422, "invalid", str(error), col="policy") from error
    except (ReleaseRefusedError, FormatRefusedError) as error:
        raise ApiError(409, "refused", str(error)) from error


@route(router, "POST", "/releases/{release}/cancel", Scope.RELEASE, WorkChanged)
def stop_release(request: HttpRequest, release: Id) -> dict[str, Any]:
    """Stop building a release."""
    found = find_release(request, release)
    return write_change(found, changed=claims.cancel(found))


@route(router, "POST", "/releases/{release}/resume", Scope.RELEASE, WorkChanged)
def continue_release(request: HttpRequest, release: Id) -> dict[str, Any]:
    """Have a cancelled or failed release built, of what was decided when it was ordered."""
    found = find_release(request, release)
    return write_change(found, changed=claims.resume(found))


@route(router, "GET", "/audits/{audit}/releases/diff", Scope.RELEASE, Difference)
def compare_releases(request: HttpRequest, audit: Id, wanted: Query[Compared]) -> dict[str, Any]:
    """List the items that two releases give other labels."""
    found = find_audit(request, audit)
    rows = Release.objects.filter(audit=found)
    before, after = (
        get_object_or_404(rows, number=number) for number in (wanted.before, wanted.after)
    )
    moments = [Moment(policy_of(each), snapshot_of(each)) for each in (before, after)]
    numbers = {"before": before.number, "after": after.number}
    return {"audit": found.pk, **numbers, **describe_differences(found, *moments)}


@route(router, "GET", "/releases/{release}", Scope.RELEASE, ReleaseDoc)
def read_release(request: HttpRequest, release: Id) -> dict[str, Any]:
    """Show how far a release is, and its files once they are there."""
    return write_release(find_release(request, release))


@route(router, "GET", "/releases/{release}/verify", Scope.RELEASE, Verified, refusals=(409,))
def verify_release(request: HttpRequest, release: Id) -> dict[str, Any]:
    """Compare every file of a release with its manifest, byte by byte."""
    found = find_finished_release(request, release)
    problems = verify_folder(release_folder(found.audit_id, found.number))
    return {"intact": not problems, "problems": problems}


@route(
    router, "GET", "/releases/{release}/archive", Scope.RELEASE, None, refusals=(409,),
    openapi_extra=FILE,
)  # fmt: skip
def read_archive(request: HttpRequest, release: Id, range_: Range = None) -> HttpResponseBase:
    """Send all files of a release as one tar archive, whole or from where it broke off."""
    del range_  # read from the request itself
    return send_archive(request, find_finished_release(request, release))


@route(
    router, "GET", "/releases/{release}/files/{path:name}", Scope.RELEASE, None, refusals=(409,),
    openapi_extra=FILE,
)  # fmt: skip
def read_file(
    request: HttpRequest, release: Id, name: str, range_: Range = None
) -> HttpResponseBase:
    """Send one file of a release, whole or from where it broke off."""
    del range_  # read from the request itself
    return send_file(request, find_finished_release(request, release), name)


def write_release(release: Release) -> dict[str, Any]:
    """Return a release as JSON."""
    manifest = release.manifest
    return {
        "id": release.pk,
        "audit": release.audit_id,
        "number": release.number,
        "policy": release.policy,
        "policy_version": release.policy_version,
        "formats": release.formats,
        "work": release.work,
        "written": release.n_written,
        "error": release.error,
        "last_judgment": release.last_judgment,
        "last_adjudication": release.last_adjudication,
        "created_at": release.created_at,
        "sha256": manifest.get("sha256"),
        "files": manifest.get("files", {}),
    }
