"""Serving a part of a file. Django's FileResponse ignores Range, and without it no seek works."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

_CHUNK: Final = 64 * 1024
_SINGLE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class Unsatisfiable(Exception):
    """The range lies outside the file (416)."""


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte, both included; None for the whole file.

    RFC 9110, 14.2: another unit, several ranges or a malformed one are ignored.
    """
    match = _SINGLE.fullmatch(header.strip().replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise Unsatisfiable
        return size - length, size - 1
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(end, size - 1)


def ranged_response(
    request: HttpRequest, path: Path, *, etag: str, content_type: str
) -> HttpResponseBase:
    """The file, or the part that the request asks for (206), or 304, or 416."""
    response = _response(request, path, etag, content_type)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    return response


def _response(request: HttpRequest, path: Path, etag: str, content_type: str) -> HttpResponseBase:
    size = path.stat().st_size
    if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        return HttpResponse(status=304)
    if request.method == "HEAD":
        return HttpResponse(headers={"Content-Length": str(size)}, content_type=content_type)
    try:
        part = _part(request, etag, size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = part or (0, size - 1)
    response = StreamingHttpResponse(
        _bytes(path, start, end - start + 1),
        status=206 if part else 200,
        content_type=content_type,
        headers={"Content-Length": str(end - start + 1)},
    )
    if part:
        response["Content-Range"] = f"bytes {start}-{end}/{size}"
    return response


def _part(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    header = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    if header is None or (condition is not None and condition != etag):
        return None
    return wanted_range(header, size)


def _bytes(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
