"""Files of finished releases as downloads that can be taken up where they broke off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
BLOCK = 1 << 16


def send_file(
    request: HttpRequest, path: Path, *, name: str, content_type: str, sha256: str
) -> HttpResponseBase:
    """Send a file that never changes, whole or the one range that was asked for.

    Its hash is its ETag, so that a client which has a part of it can ask for the rest
    (``Range`` with ``If-Range``) and one which has it all is told so (304).
    """
    etag = f'"{sha256}"'
    size = path.stat().st_size
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=304, headers={"ETag": etag})
    response: HttpResponseBase
    bounds = _read_range(request, etag, size)
    if bounds is None:
        response = FileResponse(path.open("rb"), content_type=content_type)
    elif bounds[0] >= bounds[1]:
        headers = {"Content-Range": f"bytes */{size}", "ETag": etag}
        return HttpResponse(status=416, headers=headers)
    else:
        start, stop = bounds
        response = StreamingHttpResponse(
            _read_part(path, start, stop), status=206, content_type=content_type
        )
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


def _read_part(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        left = stop - start
        while left > 0 and (block := stream.read(min(BLOCK, left))):
            left -= len(block)
            yield block
