"""Exports of snapshots: choose a format, and take the files away. Doors only."""

import tempfile
import uuid

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines.errors import PipelineError
from pipelines.exports import files as export_files
from pipelines.exports import page as export_page
from pipelines.models import Artifact
from pipelines.views.access import for_viewers, person


@never_cache
@require_http_methods(["GET", "POST"])
@for_viewers
def exports(request: HttpRequest) -> HttpResponse:
    """What each format would lose of the chosen snapshot, and the exports there are."""
    if request.method == "POST":
        return _start(request)
    there = export_page.snapshots()
    asked = request.GET.get("snapshot", "")
    snapshot = next((each for each in there if str(each.pk) == asked), None)
    if asked and snapshot is None:
        raise Http404("There is no such snapshot.")
    chosen = snapshot or next(iter(there), None)
    context = {
        "snapshots": there,
        "chosen": chosen,
        "choices": export_page.choices_of(chosen),
        "rows": export_page.latest(),
        "nonce": uuid.uuid4().hex,
    }
    return render(request, "pipelines/exports/page.html", context)


def _start(request: HttpRequest) -> HttpResponse:
    """Pressed twice, the button leads to the run that was started."""
    said = request.POST
    media = said.get("media", "paths")
    prefix = said.get("prefix", "") if media == "links" else ""
    config = {"format": said.get("format", ""), "media": media, "prefix": prefix}
    back = reverse("pipelines:exports")
    try:
        snapshot = export_page.snapshot_of(said.get("snapshot", ""))
        back += f"?snapshot={snapshot.pk}"
        run = export_page.start(snapshot, config, person(request), nonce=said.get("nonce", "")[:64])
    except PipelineError as error:
        messages.error(request, f"{str(error)[0].upper()}{str(error)[1:]}.")
        return redirect(back)
    return redirect("pipelines:run", run.pk)


@require_GET
@for_viewers
def export_zip(_request: HttpRequest, artifact_id: int) -> HttpResponseBase:
    """All files of an export, verified first."""
    artifact = get_object_or_404(Artifact, pk=artifact_id, kind=OutputKind.EXPORT)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        export_files.zip_of(artifact, file)
    except FormatError as error:
        file.close()
        raise Http404(str(error)) from error
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"export-{artifact.run_id}.zip")


@require_GET
@for_viewers
def export_file(_request: HttpRequest, artifact_id: int, name: str) -> HttpResponseBase:
    """One file of an export, by the name that its manifest has for it."""
    artifact = get_object_or_404(Artifact, pk=artifact_id, kind=OutputKind.EXPORT)
    try:
        file = export_files.file_of(artifact, name)
    except FormatError as error:
        raise Http404(str(error)) from error
    if file is None or not file.is_file():
        raise Http404("This export has no such file.")
    return FileResponse(
        file.open("rb"), as_attachment=True, content_type="application/octet-stream"
    )
