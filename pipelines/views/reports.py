"""The report page, its JSON as it was written, the one file that holds it, and any side by side."""

from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import reporting
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.reports import page as report_page
from pipelines.reports.contenders import MOST, WORDS, Field, NothingToCompare, fields_of
from pipelines.reports.contenders_page import choices, tables_of
from pipelines.reports.one_file import EMBEDDED, LINKED, report_file
from pipelines.views.access import for_viewers, person


@require_GET
@for_viewers
def report(request: HttpRequest, artifact_id: int) -> HttpResponse:
    artifact = _report(artifact_id)
    try:
        body = reporting.read_report(artifact)
    except FormatError as error:
        return _gone(request, error)
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


@require_GET
@for_viewers
def report_html(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The whole report as one file: ?clips=linked (as it is without) or embedded."""
    artifact = _report(artifact_id)
    clips = EMBEDDED if request.GET.get("clips") == EMBEDDED else LINKED
    try:
        body = reporting.read_report(artifact)
    except FormatError as error:
        return _gone(request, error)
    site = request.build_absolute_uri("/").rstrip("/")
    text = report_file(artifact, body, person(request), site=site, clips=clips)
    answer = HttpResponse(text, content_type="text/html; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="report-{artifact_id}.html"'
    return answer


@require_GET
@for_viewers
def contenders(request: HttpRequest) -> HttpResponse:
    """Any evaluations side by side: ?evaluation=20&adapter=13&run=9&report=62&human_test=70."""
    context: dict[str, Any] = {"choices": choices(), "most": MOST}
    if any(request.GET.getlist(word) for word in WORDS):
        try:
            context["tables"] = tables_of(_fields(request))
            context["query"] = request.GET.urlencode()
        except NothingToCompare as error:
            context["fault"] = str(error)
    return render(request, "pipelines/report_contenders.html", context)


def _fields(request: HttpRequest) -> list[Field]:
    named = {
        word: [
            int(each) for each in request.GET.getlist(word) if each.isdecimal() and len(each) < 19
        ]
        for word in WORDS
    }
    return fields_of(named)


def _gone(request: HttpRequest, error: FormatError) -> HttpResponse:
    return render(request, "pipelines/report_gone.html", {"error": str(error)}, status=410)


def _report(artifact_id: int) -> Artifact:
    reports = Artifact.objects.filter(kind=OutputKind.REPORT).select_related("run__group")
    return get_object_or_404(reports, pk=artifact_id)
