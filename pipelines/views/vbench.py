"""Pages of VBench: all results with the forms that make more, and one result."""

from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.permissions import is_ml_engineer
from formats.errors import FormatError
from formats.outcome import OutputKind
from formats.vbench_results import VBenchResult
from pipelines.errors import PipelineError
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from pipelines.vbench import page as vbench_page
from pipelines.vbench import subjects as vbench_subjects
from pipelines.vbench.beside import Beside, beside_file
from pipelines.vbench.doors import start_import
from pipelines.vbench.forms import ImportForm, MeasureForm
from pipelines.vbench.importing import RUN
from pipelines.views.access import for_viewers, person

_RESULTS: Final = 50


@never_cache
@require_http_methods(["GET", "POST"])
@for_viewers
def vbench_list(request: HttpRequest) -> HttpResponse:
    """All results, newest first; ML engineers import files and measure clips."""
    chosen = {"measured": request.GET.get("clips", "")}
    forms: dict[str, Any] = {"importing": ImportForm(), "measuring": MeasureForm(initial=chosen)}
    if request.method == "POST":
        if not is_ml_engineer(person(request)):
            raise PermissionDenied("ML engineers start runs.")
        run = _started(request, forms)
        if run is not None:
            messages.success(request, f"Run {run.pk} is queued.")
            return redirect("pipelines:run", run.pk)
    rows = Artifact.objects.filter(kind=OutputKind.VBENCH).select_related("run").order_by("-pk")
    # Not the shares of one that gathers them.
    rows = rows.filter(~Q(run__kind=RUN) | Q(run__config__chunk=None))
    page = Paginator(rows, _RESULTS).get_page(request.GET.get("page"))
    context = {
        **forms,
        "page": page,
        "results": [(each, vbench_subjects.line_of(each)) for each in page],
        "may_start": is_ml_engineer(person(request)),
    }
    return render(request, "pipelines/vbench/list.html", context, status=_status(forms))


def _status(forms: dict[str, Any]) -> int:
    return 422 if any(form.errors for form in forms.values()) else 200


def _started(request: HttpRequest, forms: dict[str, Any]) -> Run | None:
    """The run that one of the forms asks for; None with the form's errors where it cannot be."""
    form: ImportForm | MeasureForm
    if request.POST.get("act") == "measure":
        forms["measuring"] = form = MeasureForm(request.POST)
    else:
        forms["importing"] = form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return None
    try:
        return _start(form, request)
    except (PipelineError, FormatError) as error:
        form.add_error(None, str(error))
        return None


def _start(form: ImportForm | MeasureForm, request: HttpRequest) -> Run:
    user = person(request)
    if isinstance(form, MeasureForm):
        return start_run(RUN, form.config(), {"generations": form.clips()}, user=user)
    given = form.cleaned_data
    return start_import(
        given["results"],
        user=user,
        protocol=given["protocol"],
        scale=given["scale"],
        generator=given["generator"],
        inputs=form.inputs(),
    )


@never_cache
@require_GET
@for_viewers
def vbench_result(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """One result; `?beside=ID` puts another one of the same benchmark beside it."""
    artifact = _artifact(artifact_id)
    try:
        result = vbench_page.result_of(artifact)
    except FormatError as error:
        context: dict[str, Any] = {"artifact": artifact, "fault": str(error)}
        return render(request, "pipelines/vbench/result.html", context, status=422)
    other, fault = _beside(request, artifact, result)
    clips, columns = vbench_page.clips_shown(result)
    context = {
        "artifact": artifact,
        "result": result,
        "benchmark": result.benchmark,
        "totals": result.totals(),
        "total": vbench_page.total_words(result),
        "subject": vbench_subjects.subject_of(artifact, result),
        "groups": vbench_page.groups_of(result, other),
        "aside": vbench_page.beside_rows(result, other),
        "proxies": vbench_page.proxy_rows(result, other),
        "chart": vbench_page.chart_of(result, result.benchmark, other),
        "clips": clips,
        "columns": columns,
        "other": other,
        "other_total": vbench_page.total_words(other.result) if other else "",
        "beside_fault": fault,
        "others": vbench_subjects.others_of(artifact, result),
        "chosen": request.GET.get("beside", ""),
    }
    return render(request, "pipelines/vbench/result.html", context)


def _beside(
    request: HttpRequest, artifact: Artifact, result: VBenchResult
) -> tuple[Beside | None, str]:
    asked = request.GET.get("beside", "")
    if not asked:
        return None, ""
    rows = Artifact.objects.filter(kind=OutputKind.VBENCH)
    found = rows.filter(pk=int(asked[:9])).first() if asked.isdecimal() else None
    if found is None:
        return None, f"There is no VBench result {asked[:20]}."
    try:
        other = vbench_page.result_of(found)
    except FormatError as error:
        return None, str(error)
    if other.protocol != result.protocol:
        return None, f"Result {found.pk} is of {other.benchmark.title}: the two do not compare."
    return beside_file(path_of(found), path_of(artifact), (found.sha256, artifact.sha256)), ""


@require_GET
@for_viewers
def vbench_json(_request: HttpRequest, artifact_id: int) -> HttpResponse:
    """The whole file."""
    artifact = _artifact(artifact_id)
    file = path_of(artifact)
    if not file.is_file():
        raise Http404("The file of this artifact is not there.")
    response = HttpResponse(file.read_bytes(), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="vbench-{artifact.run_id}.json"'
    return response


def _artifact(artifact_id: int) -> Artifact:
    rows = Artifact.objects.select_related("run")
    return get_object_or_404(rows, pk=artifact_id, kind=OutputKind.VBENCH)
