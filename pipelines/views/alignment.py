"""What an alignment run shows while it trains: its panel as JSON, and its clips. Doors only."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_safe

from annotation.media.ranged import Content, ranged_response
from pipelines.adapters import alignment_page, watched
from pipelines.models import Run
from pipelines.views.access import for_viewers

_BLOCK: Final = 1 << 16
_HEADERS: Final = {
    "Cache-Control": "private, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


@require_GET
@for_viewers
def alignment_live(request: HttpRequest, run_id: int) -> JsonResponse:
    """The panel, or that nothing is new since the mark that is asked with."""
    run = get_object_or_404(Run, pk=run_id, kind=watched.KIND)
    mark = alignment_page.mark_of(run)
    found = {"mark": mark, "ended": run.has_ended}
    if request.GET.get("mark") == mark:
        return JsonResponse(found)
    return JsonResponse({**found, "panel": alignment_page.panel_of(run)})


@require_safe
@for_viewers
def watched_clip(request: HttpRequest, run_id: int, step: int, number: int) -> HttpResponseBase:
    """One clip of a look, by its number: no part of the address names a file."""
    run = get_object_or_404(Run, pk=run_id, kind=watched.KIND)
    look = watched.look_at(run, step)
    if look is None or number >= len(look.clips):
        raise Http404("There is no such clip.")
    clip = look.clips[number]
    path = watched.file_of(run, clip)
    if path is None:
        raise Http404("The file is not there.")
    content = Content(path.stat().st_size, partial(_read, path), f'"{clip.sha256}"', "video/mp4")
    response = ranged_response(request, content)
    for header, value in _HEADERS.items():
        response[header] = value
    return response


def _read(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (block := file.read(min(_BLOCK, length))):
            length -= len(block)
            yield block
