"""Exports of snapshots to take away. Doors only."""

import tempfile

from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import export_files
from pipelines.models import Artifact
from pipelines.views.access import for_viewers


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
