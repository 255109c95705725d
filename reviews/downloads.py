"""Files of finished releases as downloads that can be taken up where they broke off."""

from __future__ import annotations

import re

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

from audit.hashed_folders import MANIFEST, hash_file
from reviews.models import Release
from reviews.release_archives import Part, lay_out, measure, read_range
from reviews.release_files import release_folder

RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}
ANY_BYTES = "application/octet-stream"


def send_file(request: HttpRequest, release: Release, name: str) -> HttpResponseBase:
    """Send one file of a finished release, as a download and nothing else."""
    # Only names that the manifest lists: the address never becomes a path.
    listed = release.manifest.get("files", {})
    if name != MANIFEST and name not in listed:
        raise Http404("no such file in this release")
    path = release_folder(release.audit_id, release.number) / name
    if not path.is_file():
        raise Http404("this file is gone from the installation's folder")
    sha256 = listed[name]["sha256"] if name in listed else hash_file(path)["sha256"]
    flat = name.replace("/", "-")
    return send_parts(
        request,
        [(path, path.stat().st_size)],
        name=f"{release.audit.dataset.slug}-release-{release.number}-{flat}",
        content_type=CONTENT_TYPES.get(path.suffix, ANY_BYTES),
        version=sha256,
    )


def send_archive(request: HttpRequest, release: Release) -> HttpResponseBase:
    """Send all files of a finished release as one tar archive."""
    folder = release_folder(release.audit_id, release.number)
    if not (folder / MANIFEST).is_file():
        raise Http404("this release is gone from the installation's folder")
    name = f"{release.audit.dataset.slug}-release-{release.number}"
    return send_parts(
        request,
        lay_out(folder, release.manifest, name),
        name=f"{name}.tar",
        content_type="application/x-tar",
        version=f"{release.manifest['sha256']}-tar",
    )


def send_parts(
    request: HttpRequest, parts: list[Part], *, name: str, content_type: str, version: str
) -> HttpResponseBase:
    """Send parts that never change, whole or the one range that was asked for.

    Their ``version`` is the ETag, so that a client which has a part of it can ask for the rest
    (``Range`` with ``If-Range``) and one which has it all is told so (304).
    """
    etag = f'"{version}"'
    size = measure(parts)
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=304, headers={"ETag": etag})
    bounds = _read_range(request, etag, size)
    start, stop = bounds or (0, size)
    if bounds and start >= stop:
        headers = {"Content-Range": f"bytes */{size}", "ETag": etag}
        return HttpResponse(status=416, headers=headers)
    response = StreamingHttpResponse(read_range(parts, start, stop), content_type=content_type)
    if bounds:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Content-Length"] = str(stop - start)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _read_range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Return [start, stop) of the range asked for; None for the whole file.

    What isn't one range of bytes, or is asked of another version, means the whole file; a range
    beyond the end comes back empty.
    """
    found = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or not any(found.groups()):
        return None
    if request.headers.get("If-Range", etag) != etag:
        return None
    first, last = found.groups()
    if not first:  # the last so many bytes
        return max(size - int(last), 0), size
    stop = size if not last else min(int(last) + 1, size)
    if last and int(last) < int(first):
        return None
    return int(first), stop
