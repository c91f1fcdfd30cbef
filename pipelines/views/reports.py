"""The report page, and its JSON as it was written."""

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import report_page, reporting
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.views.access import for_viewers, person


@require_GET
@for_viewers
def report(request: HttpRequest, artifact_id: int) -> HttpResponse:
    artifact = _report(artifact_id)
    try:
        body = reporting.read_report(artifact)
    except FormatError as error:
        return render(request, "pipelines/report_gone.html", {"error": str(error)}, status=410)
    return render(
        request, "pipelines/report.html", report_page.context(artifact, body, person(request))
    )


@require_GET
@for_viewers
def report_json(_request: HttpRequest, artifact_id: int) -> HttpResponseBase:
    path = path_of(_report(artifact_id))
    if not path.exists():
        raise Http404
    name = f"report-{artifact_id}.json"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)


def _report(artifact_id: int) -> Artifact:
    reports = Artifact.objects.filter(kind=OutputKind.REPORT).select_related("run__group")
    return get_object_or_404(reports, pk=artifact_id)
