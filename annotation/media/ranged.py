"""Serving a part of a file. Django's FileResponse ignores Range, and without it no seek works."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

# One range; the unit's name is read in any case. \d would take the digits of other scripts.
_SINGLE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies outside the file (416)."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is served: how long it is, and how to read a part of it."""

    size: int
    read: Callable[[int, int], Iterator[bytes]]  # first byte, number of bytes
    etag: str  # strong, in quotes
    content_type: str


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte, both included; None for the whole file.

    RFC 9110, 14.2: another unit, several ranges or a malformed one are ignored.
    """
    match = _SINGLE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
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


def ranged_response(request: HttpRequest, content: Content) -> HttpResponseBase:
    """The file, or the part that the request asks for (206), or 304, or 416."""
    response = _response(request, content)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = content.etag
    return response


def handed_to_nginx(
    request: HttpRequest, inside: str, etag: str, content_type: str
) -> HttpResponseBase:
    """An answer without bytes: nginx sends the file that lies at `inside`, or a part of it."""
    if _is_known(request, etag):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(content_type=content_type, headers={"X-Accel-Redirect": inside})
    response["ETag"] = etag
    return response


def _response(request: HttpRequest, content: Content) -> HttpResponseBase:
    if _is_known(request, content.etag):
        return HttpResponse(status=304)
    size = content.size
    if request.method == "HEAD":
        return HttpResponse(
            headers={"Content-Length": str(size)}, content_type=content.content_type
        )
    try:
        part = _part(request, content)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = part or (0, size - 1)
    response = StreamingHttpResponse(
        content.read(start, end - start + 1),
        status=206 if part else 200,
        content_type=content.content_type,
        headers={"Content-Length": str(end - start + 1)},
    )
    if part:
        response["Content-Range"] = f"bytes {start}-{end}/{size}"
    return response


def _is_known(request: HttpRequest, etag: str) -> bool:
    """RFC 9110, 13.1.2: weak comparison; `*` is whatever is there."""
    tags = [tag.strip().removeprefix("W/") for tag in _header(request, "If-None-Match").split(",")]
    return etag in tags or tags == ["*"]


def _part(request: HttpRequest, content: Content) -> tuple[int, int] | None:
    header = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    # A weak tag or a date is no strong match: then the whole file is the right answer (13.1.5).
    if header is None or (condition is not None and condition.strip() != content.etag):
        return None
    return wanted_range(header, content.size)


def _header(request: HttpRequest, name: str) -> str:
    return str(request.headers.get(name, ""))
