"""Pages of comparisons: all of them, one live, and any alignment runs side by side."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from annotation.permissions import is_ml_engineer
from formats.outcome import OutputKind
from pipelines.comparisons.config import KIND, MOST
from pipelines.comparisons.curves import curves_of
from pipelines.comparisons.page import view_of
from pipelines.comparisons.samples import samples_of
from pipelines.comparisons.settings import NotComparable
from pipelines.comparisons.table import table_of
from pipelines.loops.page import steps_of
from pipelines.models import Artifact, GroupKind, LoopGroup, Run, RunState
from pipelines.views.access import for_viewers, person


@require_GET
@for_viewers
def comparison_list(request: HttpRequest) -> HttpResponse:
    counted = LoopGroup.objects.annotate(members=Count("runs", filter=Q(runs__kind=KIND)))
    groups = counted.filter(kind=GroupKind.COMPARISON).order_by("-pk")
    context = {"groups": groups, "may_start": is_ml_engineer(person(request))}
    return render(request, "pipelines/comparisons.html", context)


@require_GET
@for_viewers
def comparison(request: HttpRequest, group_id: int) -> HttpResponse:
    """One comparison; its table asks for itself again until all runs of the group have ended."""
    group = _group(group_id)
    members = _members(group)
    context = {
        "group": group,
        "curves": curves_of(members),
        "samples": samples_of(members, person(request)),
        "steps": steps_of(group, person(request)),
        "report": Artifact.objects.filter(run__group=group, kind=OutputKind.REPORT).first(),
        "may_start": is_ml_engineer(person(request)),
        **_table(group, members, request),
    }
    return render(request, "pipelines/comparison.html", context)


@require_GET
@for_viewers
def comparison_table(request: HttpRequest, group_id: int) -> HttpResponse:
    """The table alone, for the page that is open."""
    group = _group(group_id)
    context = _table(group, _members(group), request)
    return render(request, "pipelines/_comparison.html", context)


@require_GET
@for_viewers
def comparison_json(_request: HttpRequest, group_id: int) -> JsonResponse:
    group = _group(group_id)
    response = JsonResponse({"name": group.name, **table_of(_members(group)).to_json()})
    response["Content-Disposition"] = f'attachment; filename="comparison-{group.pk}.json"'
    return response


@require_GET
@for_viewers
def side_by_side(request: HttpRequest) -> HttpResponse:
    """Any alignment runs: /comparisons/runs?run=9&run=10. What cannot be compared is said."""
    ids = [int(each) for each in request.GET.getlist("run")[:MOST] if each.isdecimal()]
    runs = list(Run.objects.filter(pk__in=ids, kind=KIND).order_by("pk"))
    context: dict[str, Any] = {"runs": runs}
    try:
        context |= {
            "view": view_of(table_of(runs), person(request)),
            "curves": curves_of(runs),
            "samples": samples_of(runs, person(request)),
        }
    except NotComparable as error:
        context["fault"] = str(error)
    return render(request, "pipelines/side_by_side.html", context)


def _group(group_id: int) -> LoopGroup:
    return get_object_or_404(LoopGroup, pk=group_id, kind=GroupKind.COMPARISON)


def _members(group: LoopGroup) -> list[Run]:
    return list(group.runs.filter(kind=KIND).order_by("pk"))


def _table(group: LoopGroup, members: list[Run], request: HttpRequest) -> dict[str, Any]:
    runs = list(group.runs.all())
    return {
        "group": group,
        "view": view_of(table_of(members), person(request)),
        "done": sum(run.state == RunState.SUCCEEDED for run in runs),
        "failed": sum(run.state == RunState.FAILED for run in runs),
        "total": len(runs),
        "ended": all(run.has_ended for run in runs),
    }
