"""Files of finished releases as downloads that can be taken up where they broke off."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

from reviews.release_archives import Part, measure, read_range

RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


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
