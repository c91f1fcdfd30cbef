"""Pages of suites: all of them, one with its prompts, how it is scored, its evaluations."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from annotation.access import audit
from annotation.media.media_urls import image_url
from annotation.permissions import is_lead, is_ml_engineer
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import graph
from pipelines.errors import PipelineError
from pipelines.loops.page import steps_of
from pipelines.models import Artifact, GroupKind, LoopGroup, RunState, Suite
from pipelines.suites import pages as suite_pages
from pipelines.suites.evaluating import start_suite_evaluation
from pipelines.suites.forms import EvaluateForm, ImportSuiteForm, ScoringForm, initial_of_scoring
from pipelines.suites.scoring import checked_way, judges_of, way_of
from pipelines.suites.shelf import SuiteReport, set_scoring
from pipelines.suites.uploads import import_incoming, import_upload
from pipelines.views.access import for_engineers, for_viewers, person

_TOLD = 12  # warnings of an import that a page shows


@never_cache
@require_http_methods(["GET", "POST"])
@for_viewers
def suite_list(request: HttpRequest) -> HttpResponse:
    """All suites, and the form that imports one."""
    may_import = is_ml_engineer(person(request)) or is_lead(person(request))
    form = ImportSuiteForm(request.POST or None, request.FILES or None)
    report = None
    if request.method == "POST":
        if not may_import:
            raise PermissionDenied
        report = _imported(request, form)
        if report is not None and not (report.warnings or report.duplicates):
            return redirect("pipelines:suite", report.suite.pk)
    context = {
        "lines": suite_pages.lines(),
        "form": ImportSuiteForm() if report else form,
        "report": report,
        "told": [*report.duplicates, *report.warnings][:_TOLD] if report else [],
        "may_import": may_import,
    }
    return render(
        request, "pipelines/suites/list.html", context, status=422 if form.errors else 200
    )


def _imported(request: HttpRequest, form: ImportSuiteForm) -> SuiteReport | None:
    if not form.is_valid():
        return None
    given = form.cleaned_data
    how = {name: given[name] for name in ("title", "repair")}
    user, images = person(request), given["images"]
    try:
        if given["file"]:
            report = import_upload(given["file"], given["name"], user, images=images, **how)
        else:
            report = import_incoming(images, given["name"], user, **how)
    except FormatError as error:
        form.add_error(None, str(error))
        return None
    audit.record(request, "suite.import", report.suite, prompts=report.prompts)
    messages.success(request, f"The suite “{report.suite}” has {report.prompts} prompts.")
    return report


@never_cache
@require_GET
@for_viewers
def suite_page(request: HttpRequest, suite_id: int) -> HttpResponse:
    suite = get_object_or_404(Suite.objects.select_related("created_by"), pk=suite_id)
    asked = {name: request.GET.get(name, "") for name in ("split", "category", "words")}
    page = suite_pages.prompts_page(suite, page=request.GET.get("page"), **asked)
    context = {
        "suite": suite,
        "facts": suite_pages.facts_of(suite),
        "page": page,
        "rows": [
            (row, image_url(row.image.pk, person(request)) if row.image else "") for row in page
        ],
        "asked": asked,
        "way": way_of(suite),
        "judges": judges_of(suite),
        "evaluations": suite_pages.evaluations_of(suite),
        "may_start": is_ml_engineer(person(request)),
    }
    return render(request, "pipelines/suites/suite.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@for_engineers
def suite_scoring(request: HttpRequest, suite_id: int) -> HttpResponse:
    """How clips on this suite are scored."""
    suite = get_object_or_404(Suite, pk=suite_id)
    form = ScoringForm(request.POST or None, initial=initial_of_scoring(suite))
    if request.method == "POST" and form.is_valid():
        try:
            judges = form.judges()
            set_scoring(suite, checked_way(form.scoring_way(), judges), judges)
        except PipelineError as error:
            form.add_error(None, str(error))
        else:
            audit.record(request, "suite.scoring", suite)
            messages.success(request, "It is scored so from now on; earlier results stay.")
            return redirect("pipelines:suite", suite.pk)
    return _form(request, "scoring", suite, form)


@never_cache
@require_http_methods(["GET", "POST"])
@for_engineers
def suite_evaluate(request: HttpRequest, suite_id: int) -> HttpResponse:
    """Start an evaluation of this suite."""
    suite = get_object_or_404(Suite, pk=suite_id)
    form = EvaluateForm(suite, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = start_suite_evaluation(form.config(), form.inputs(), person(request))
        except PipelineError as error:
            form.add_error(None, str(error))
        else:
            return redirect("pipelines:suite-evaluation", group.pk)
    return _form(request, "evaluate", suite, form)


def _form(request: HttpRequest, name: str, suite: Suite, form: Any) -> HttpResponse:
    context = {"suite": suite, "form": form, "way": way_of(suite), "judges": judges_of(suite)}
    status = 422 if form.errors else 200
    return render(request, f"pipelines/suites/{name}.html", context, status=status)


@never_cache
@require_GET
@for_viewers
def suite_evaluation(request: HttpRequest, group_id: int) -> HttpResponse:
    """One evaluation while it runs and afterwards."""
    group = get_object_or_404(
        LoopGroup.objects.select_related("created_by"), pk=group_id, kind=GroupKind.EVALUATION
    )
    steps = steps_of(group, person(request))
    cards = [card for step in steps for card in step.cards]
    left = Artifact.objects.filter(run__group=group).select_related("run").order_by("pk")
    context = {
        "group": group,
        "suite": Suite.objects.filter(name=group.config.get("suite", "")).first(),
        "asked": suite_pages.asked_of(group),
        "steps": steps,
        "graph": graph.of_group(group),
        "done": sum(card.state == RunState.SUCCEEDED for card in cards),
        "total": len(cards),
        "report": left.filter(kind=OutputKind.REPORT).first(),
        "results": suite_pages.outcomes_of(group),
        "warnings": _warnings(left),
        "may_start": is_ml_engineer(person(request)),
    }
    return render(request, "pipelines/suites/evaluation.html", context)


def _warnings(left: Any) -> list[tuple[Artifact, str]]:
    """What sets of clips and results say of rates, sizes and gaps."""
    found = []
    for each in left.filter(kind__in=(OutputKind.GENERATIONS, OutputKind.EVALUATION)):
        told = each.meta.get("warnings") or each.meta.get("footage") or []
        found += [(each, text) for text in told if isinstance(text, str) and isinstance(told, list)]
    return found
